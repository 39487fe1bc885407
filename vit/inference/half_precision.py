"""A trained model made ready to answer faster, with answers that differ in the last bits of bf16 or fp16."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ..kernels.bf16 import use_bf16_kernels
from ..kernels.packed_linear import BF16, bf16_supported
from ..models.resnet import normalized_convolutions
from .packed_blocks import pack_blocks


class HalfPrecision(nn.Module):
    """A module under autocast whose matrices and kernels are kept in `dtype`, instead of cast in every call."""

    def __init__(self, module: nn.Module, dtype: torch.dtype):
        super().__init__()
        self.module = module.eval()
        self.dtype = dtype
        fold_batch_norms(module)
        if dtype == BF16 and not pack_blocks(module) and bf16_supported():
            use_bf16_kernels(module)
        for layer in module.modules():
            if isinstance(layer, nn.Linear | nn.Conv2d):
                layer.to(dtype)

    def forward(self, images: Tensor) -> Tensor:  # [B, 3, height, width] -> [B, num_classes], fp32
        with torch.autocast(images.device.type, self.dtype):
            return self.module(images).float()


def fold_batch_norms(module: nn.Module) -> None:
    """Put the BatchNorms of a residual network of ours into the convolutions before them."""
    for part, convolution, norm in normalized_convolutions(module):
        layers: Any = (part.get_submodule(convolution), part.get_submodule(norm))
        fused = fuse_conv_bn_eval(*layers)
        part.set_submodule(convolution, fused.to(memory_format=torch.channels_last))
        part.set_submodule(norm, nn.Identity())
