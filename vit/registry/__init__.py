"""The names that a recipe may use, each with its function and options; no torch is imported for them."""
