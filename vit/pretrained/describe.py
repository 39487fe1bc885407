"""What a state dict under timm's names says of its model: the options that the shapes and names decide."""

import re
from math import isqrt
from typing import Any

import torch
from torch import Tensor

from ..errors import UserError

Tensors = dict[str, Tensor]
HEAD_WIDTH = 64  # of every attention head, in nearly all published models
NUM_HEADS = {1152: 16, 1280: 16, 1408: 16, 1664: 16}  # so400m, huge, giant and gigantic: wider heads


def vision_transformer(
    tensors: Tensors, source: str, *, num_heads: int | None = None, image_size: tuple[int, int] | None = None
) -> tuple[dict[str, Any], tuple[int, int]]:
    """Return the options of VisionTransformer that fit the tensors, and the image size of their positions.

    What no tensor shows (activation, norm_eps, and the pool without a norm behind it) keeps its default. Raises
    UserError for a missing part, for a grid that is not square where no image size is given, and for a width that no
    known number of heads divides.
    """
    _require(tensors, source)
    embed_dim, _, patch_size, _ = tensors["patch_embed.proj.weight"].shape
    hidden_dim = tensors["blocks.0.mlp.fc2.weight"].shape[1]
    prefix = sum(tensors[name].shape[1] for name in ("cls_token", "dist_token", "reg_token") if name in tensors)
    registers = tensors["reg_token"].shape[1] if "reg_token" in tensors else 0
    positions = tensors["pos_embed"].shape[1]
    size, placed = _grid(positions, prefix, patch_size, image_size, source)
    after_pool = "fc_norm.weight" in tensors
    options: dict[str, Any] = {
        "patch_size": patch_size,
        "embed_dim": embed_dim,
        "depth": 1 + max(int(match[1]) for match in map(re.compile(r"blocks\.(\d+)\.").match, tensors) if match),
        "num_heads": num_heads or heads_of(embed_dim, source),
        "mlp_ratio": hidden_dim / embed_dim,
        "pool": "mean" if after_pool or "cls_token" not in tensors else "cls",
        "norm_after_pool": after_pool,
        "layer_scale": 1e-5 if "blocks.0.ls1.gamma" in tensors else None,
        "class_token": "cls_token" in tensors,
        "class_position": placed,
        "registers": registers,
        "norm_before": "norm_pre.weight" in tensors,
        "patch_bias": "patch_embed.proj.bias" in tensors,
    }
    if "dist_token" in tensors:
        options["pool"] = "cls_dist"
    if "attn_pool.latent" in tensors:
        options["pool"] = "map"
    if "pre_logits.fc.weight" in tensors:
        options["representation_size"] = tensors["pre_logits.fc.weight"].shape[0]
    if tensors["blocks.0.mlp.fc1.weight"].shape[0] == 2 * hidden_dim:
        options["activation"] = "swiglu"
    return options, size


def residual_network(tensors: Tensors, source: str) -> dict[str, Any]:
    """Return the options of ResNet that fit the tensors of a timm or torchvision ResNet; raises UserError as above."""
    stages: dict[int, int] = {}
    for match in filter(None, map(re.compile(r"layer(\d+)\.(\d+)\.").match, tensors)):
        stages[int(match[1])] = max(stages.get(int(match[1]), 0), int(match[2]) + 1)
    first = tensors.get("conv1.weight", torch.empty(0, 0, 0, 0))
    if (
        first.ndim != 4
        or first.shape[1] != 3
        or first.shape[2] not in (3, 7)
        or sorted(stages) != list(range(1, len(stages) + 1))
    ):
        raise UserError(f"{source}: its stem or stages are not those of a plain ResNet; timm/<name> may have the model")
    return {
        "block": "bottleneck" if "layer1.0.conv3.weight" in tensors else "basic",
        "depths": tuple(stages[i] for i in sorted(stages)),
        "width": first.shape[0],
        "attention": _attention(tensors),
        "stem": "7x7" if first.shape[2] == 7 else "3x3",
    }


def heads_of(embed_dim: int, source: str) -> int:
    """Return the usual number of heads of a width."""
    if embed_dim in NUM_HEADS:
        return NUM_HEADS[embed_dim]
    if embed_dim % HEAD_WIDTH:
        raise UserError(
            f"{source} does not say how many heads its width of {embed_dim} has, and {HEAD_WIDTH} does not divide it; "
            "say it: model.num_heads=N"
        )
    return embed_dim // HEAD_WIDTH


def _attention(tensors: Tensors) -> str:
    marks = {"channel.fc1": "cbam", "fc1": "se", "conv.conv": "spatial", "conv": "eca"}
    inside = [name.removeprefix("layer1.0.se.") for name in tensors if name.startswith("layer1.0.se.")]
    return next((kind for mark, kind in marks.items() if any(name.startswith(f"{mark}.") for name in inside)), "none")


def _require(tensors: Tensors, source: str) -> None:
    needed = ("patch_embed.proj.weight", "pos_embed", "blocks.0.mlp.fc1.weight", "blocks.0.mlp.fc2.weight")
    missing = [name for name in needed if name not in tensors]
    if not missing and tensors["patch_embed.proj.weight"].ndim != 4:
        raise UserError(f"{source} embeds its patches by something else than a convolution")
    if missing:
        raise UserError(f"{source} is no whole Vision Transformer: missing {', '.join(missing)}")


def _grid(
    positions: int, prefix: int, patch_size: int, image_size: tuple[int, int] | None, source: str
) -> tuple[tuple[int, int], bool]:
    """Return the image size of the positions, and whether the prefix has positions too."""
    if image_size is not None:
        patches = (image_size[0] // patch_size) * (image_size[1] // patch_size)
        if positions not in (patches, patches + prefix):
            raise UserError(f"{source}: {positions} positions do not fit images of {image_size[0]}x{image_size[1]}")
        return image_size, positions == patches + prefix
    for placed in (True, False):
        side = isqrt(positions - prefix * placed)
        if side * side == positions - prefix * placed:
            return (side * patch_size, side * patch_size), placed
    raise UserError(f"{source}: {positions} positions are no square grid, and nothing beside it says the image size")
