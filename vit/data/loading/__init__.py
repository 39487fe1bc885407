"""From a split to batches: in which order, by which process, kept in which memory."""
