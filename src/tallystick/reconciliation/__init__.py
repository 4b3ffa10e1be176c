"""Compare what was recorded with what was delivered and what the provider has; findings as values."""
