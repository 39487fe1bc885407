"""From images and a time to complete recipes: which models, how large, how long; each choice with its reason."""
