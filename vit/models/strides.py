"""Strided 1x1 convolutions, computed as the pixels that they look at, and then a 1x1 convolution of them.

oneDNN's way back to the weights of a strided one copies these pixels too, and writes past the end of its memory where
there are few channels with channels last: fewer than 16 with AVX-512, than 8 with AVX2. The process crashes, hangs or
goes on with wrong gradients (https://github.com/uxlfoundation/oneDNN/issues/6035, seen with torch 2.15). Ours gives
equal numbers for any of them, in less time on a CPU.
"""

from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn


def thin_out(module: nn.Module) -> nn.Module:
    """Let every strided 1x1 convolution of a module, or the module itself, be given only the pixels it looks at."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d) and is_strided_1x1(part):
            part.register_forward_pre_hook(partial(pixels_looked_at, stride=part.stride))
            part.stride = (1, 1)
    return module


def is_strided_1x1(layer: nn.Conv2d) -> bool:
    return layer.kernel_size == (1, 1) and layer.stride != (1, 1) and layer.padding in ((0, 0), "valid")


def pixels_looked_at(layer: nn.Module, inputs: tuple[Tensor], *, stride: tuple[int, ...]) -> Tensor:
    """Return [B, C, H, W] without what lies between the strides: the mean of one pixel each, which keeps the layout."""
    return F.avg_pool2d(inputs[0], 1, stride)
