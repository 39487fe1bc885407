"""A trained model scored: on which images, by which logits."""
