"""Google's vision_transformer and big_vision, whose weights are JAX arrays."""

import torch
from torch import Tensor

from ...errors import UserError
from .. import layouts
from ..layouts import Tensors, below
from ..weights import Weights
from .common import HALF, WeightsFile, vision_transformer


def from_jax(file: WeightsFile) -> Weights:
    known = ("opt/target/", "params/img/", "params/", "")
    prefix = next((prefix for prefix in known if f"{prefix}embedding/kernel" in file.tensors), None)
    if prefix is None:
        raise UserError(f"{file.source}: its arrays lie under none of {', '.join(filter(None, known))}")
    inside, aside = below(file.tensors, prefix)
    original = "Transformer/posembed_input/pos_embedding" in inside
    query = "MultiHeadDotProductAttention_" + ("1" if original else "0") + "/query/kernel"
    heads = next((t.shape[-2] for name, t in inside.items() if name.endswith(query)), None)
    tensors = layouts.from_jax(inside)
    notes = _aside(aside)
    if "pos_embed" not in tensors and "patch_embed.proj.weight" in tensors:
        tensors["pos_embed"] = sine_positions(tensors["patch_embed.proj.weight"])
        notes += ("sine positions, because the file holds none",)
    facts = {"activation": "gelu_tanh", "norm_eps": 1e-6}
    usual = {"interpolation": "bilinear"} | ({"crop_mode": "squash"} if original else {"crop_fraction": 0.875})
    family = "Google JAX" if original else "big_vision"
    zoom = {"mode": "bilinear", "antialias": False, "align_corners": True}  # as scipy's zoom, which its code uses
    return vision_transformer(
        file, family, tensors, facts, HALF, HALF, usual, heads=heads, resampling=zoom, notes=notes
    )


def sine_positions(patch_weight: Tensor, side: int = 14, temperature: float = 10_000.0) -> Tensor:
    """Return fixed positions [1, side * side, D] of sines and cosines (big_vision's `sincos2d`, arXiv:2205.01580)."""
    quarter = len(patch_weight) // 4
    rates = temperature ** -(torch.arange(quarter, dtype=torch.float64) / (quarter - 1))
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    x, y = (axis.flatten()[:, None] * rates for axis in (columns, rows))
    return torch.cat([x.sin(), x.cos(), y.sin(), y.cos()], dim=1).float().unsqueeze(0)


def _aside(others: Tensors) -> tuple[str, ...]:
    return (f"{len(others)} tensors outside the image model left aside",) if others else ()
