"""Exported files read back: a graph in onnxruntime, a program of torch.export, each called as a module."""
