"""Weights from elsewhere, under this package's names, with all that they mean: exact, or refused."""
