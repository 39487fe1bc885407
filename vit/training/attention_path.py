"""Whether attention learns faster here as two matrix products than by torch's fused kernel.

In bf16 on CPUs the fused kernel's backward pass is slow where the processor multiplies matrices of bf16 itself: on a
Xeon with AMX it took 29 % of a step of ViT-S/16. In fp32 the fused kernel was never slower (AMD EPYC, torch 2.15).
"""

import torch
from torch import nn

from ..models.vision_transformer import Attention, AttentionPath, VisionTransformer
from .measured import remembered
from .precision import best_seconds

FASTER = 1.1  # times; below this, the fused kernel's smaller memory is worth more
MOST_TOKENS = 1024  # the products keep a square of them for every head
IMAGES = 4


def choose_attention_path(module: nn.Module, image_size: tuple[int, int], precision: str, device: str) -> str | None:
    """Set how a model's attention is computed in training, and say so where it is not the usual way."""
    if not isinstance(module, VisionTransformer) or device != "cpu" or precision != "bf16":
        return None
    layers = [part for part in module.modules() if isinstance(part, Attention)]
    tokens = (image_size[0] // module.patch_size) * (image_size[1] // module.patch_size) + 1
    if tokens > MOST_TOKENS:
        return None
    heads, width = layers[0].num_heads, layers[0].qkv.in_features
    what = f"fused over plain attention, {tokens} tokens, {heads} heads of {width // heads}, bf16"
    ratio = remembered(what, device, lambda: measure_ratio(tokens, width, heads))
    if ratio < FASTER:
        return None
    for layer in layers:
        layer.path = "plain"
    return f"attention as matrix products, {ratio:.1f} times as fast as the fused kernel here"


def measure_ratio(tokens: int, width: int, heads: int) -> float:
    """Return how many times as long the fused kernel takes, forward and backward in bf16."""
    layer = Attention(width, heads)
    x = torch.randn(IMAGES, tokens, width)
    return seconds_by(layer, x, "fused") / seconds_by(layer, x, "plain")


def seconds_by(layer: Attention, x: torch.Tensor, path: AttentionPath) -> float:
    layer.path = path
    return best_seconds(layer, x, "cpu", bf16=True)
