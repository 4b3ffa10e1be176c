"""The bytes of a tree: what is worth parsing, and what is pinned."""
