"""The kit for users' own tests."""
