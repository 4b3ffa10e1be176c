"""Usage-based billing that is provably right."""
