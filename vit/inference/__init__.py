"""A trained model made ready to answer, exactly or faster."""
