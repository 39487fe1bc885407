"""Images, in the order in which they flow: sources, decoding, augment, loading."""
