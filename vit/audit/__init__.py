"""What a set of images holds, before anything is trained on it: counts, copies, leaks, broken files."""
