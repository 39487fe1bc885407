"""What a trained model answers to changed images, and what inside of it the answer comes from."""
