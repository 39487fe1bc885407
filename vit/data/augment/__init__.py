"""How training images are changed: one by one, in batches, and mixed."""
