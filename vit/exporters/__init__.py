"""A model as other libraries load it, checked against ours before it gets its name."""
