"""Models as other libraries and runtimes load them, checked against ours before they get their name."""

USUAL = {"positions": "learned", "norm_order": "pre"}  # of a Vision Transformer, as other libraries have it
