"""What explains a finding: the catalogue of codes, its page, and the remedy in the framework that was found."""
