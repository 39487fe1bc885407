"""Whether a Vision Transformer learns faster here by our own kernels of bf16 on CPUs than by torch's own.

Torch's fused attention is slow on its way back where the processor multiplies matrices of bf16 itself: on a Xeon with
AMX it took 29 % of a step of ViT-S/16. In fp32 it was never slower than matrix products (AMD EPYC, torch 2.15).
"""

from copy import deepcopy
from typing import Any

import torch
from torch import nn

from ..hardware.measurements import measured_once
from ..hardware.precision import best_seconds
from ..models.mixers import is_plain_attention
from ..models.vision_transformer import own_transformer
from .bf16 import use_bf16_kernels
from .packed_linear import bf16_supported

MOST_IMAGES, TOKENS, TURNS = 8, 2048, 3


def choose_kernels(module: nn.Module, image_size: tuple[int, int], precision: str, device: str) -> str | None:
    """Set by which kernels a model learns, and say so where they are not the usual ones."""
    transformer = own_transformer(module)
    if transformer is None or device != "cpu" or precision != "bf16" or not bf16_supported():
        return None
    rows, columns = (side // transformer.patch_size for side in image_size)
    tokens = rows * columns + transformer.num_prefix
    block: Any = transformer.blocks[0]
    if not is_plain_attention(block):
        return None
    width, hidden = transformer.embed_dim, block.mlp.fc2.in_features
    what = f"own over usual bf16 kernels, {tokens} tokens, {block.attn.num_heads} heads, width {width}, hidden {hidden}"
    ratio = measured_once(what, device, lambda: measure_ratio(block, tokens, width))
    if ratio <= 1:
        return None
    use_bf16_kernels(module)
    return f"blocks by our own bf16 kernels, {ratio:.2f} times as fast as the usual ones here"


def measure_ratio(block: nn.Module, tokens: int, width: int) -> float:
    """Return how many times as long the usual kernels take for a block, forward and backward in bf16."""
    images = max(1, min(MOST_IMAGES, TOKENS // tokens))
    x = torch.randn(images, tokens, width, requires_grad=True)
    usual, ours = deepcopy(block), deepcopy(block)
    use_bf16_kernels(ours)
    turns = [[best_seconds(one, x, "cpu", bf16=True) for one in (usual, ours)] for _ in range(TURNS)]
    of_usual, of_ours = map(min, zip(*turns, strict=True))
    return of_usual / of_ours
