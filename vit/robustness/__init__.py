"""Test images changed on purpose, and how accurate a model stays on them."""
