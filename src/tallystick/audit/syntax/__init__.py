"""From source text to the small intermediate form, by tree-sitter."""
