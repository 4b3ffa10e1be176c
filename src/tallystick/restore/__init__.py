"""A ledger that was restored, or that is not the only copy: it records, and sends nothing until it is sure."""
