"""What narrows the findings of a run: suppressions, a baseline, a revision."""
