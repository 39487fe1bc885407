"""Models as other libraries and runtimes load them, checked against ours before they get their name."""

# Of a Vision Transformer, as other libraries have it.
USUAL = {"positions": "learned", "norm_order": "pre", "mixer": "attention", "head": "linear"}
