"""The calls that report usage, the ways to them, and what their quantity and customer are."""
