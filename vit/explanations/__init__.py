"""What inside of a model its answer comes from."""
