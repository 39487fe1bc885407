"""What the answer is made of: how far attention reaches, which positions are alike, which pixels a place depends on."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..models.attention import Attention
from ..models.interface import structure_of
from ..models.mixers import is_attention
from ..models.vision_transformer import VisionTransformer, all_tokens, own_transformer
from ..report.run_files import SeenInside
from .hooks import hooked

AT_ONCE = 8  # images, whose activations are kept
MOST_POSITIONS = 7  # a side, whose similarities are kept
FIELD_SIDE = 48  # of a kept receptive field, at most


def measure(module: nn.Module, inputs: Tensor) -> SeenInside:
    """Return the receptive field of any model that keeps places apart and, of a ViT of ours, attention and positions.

    Inputs [B, 3, height, width], as the model takes them.
    """
    field = receptive_field(module, inputs)
    found: SeenInside = {"receptive_field": None, "attention_distance": None, "position_similarity": None}
    if field is not None:
        found["receptive_field"] = {"map": _kept(field).round(5).tolist(), "area": area_of_most(field)}
    if transformer := own_transformer(module):
        if all(map(is_attention, transformer.blocks)):
            found["attention_distance"] = attention_distance(transformer, inputs).round(4).tolist()
        alike = position_similarity(transformer)
        found["position_similarity"] = None if alike is None else alike.round(4).tolist()
    return found


@torch.inference_mode()
def attention_distance(module: VisionTransformer, inputs: Tensor) -> np.ndarray:
    """Return how far patches look, in parts of the image's longer side, for every block and head: [depth, H].

    The mean distance from a patch to the patches that it attends to, weighted by attention, the prefix left out
    (Dosovitskiy et al. 2021, arXiv:2010.11929, appendix D.7; Raghu et al. 2021, arXiv:2108.08810).
    """
    grid = module.grid_of(inputs)
    rows, columns = torch.meshgrid(*(torch.arange(side, dtype=torch.float32) for side in grid), indexing="ij")
    places = torch.stack([rows.flatten(), columns.flatten()], -1).to(inputs.device)
    apart = torch.cdist(places, places) / max(grid)  # [patches, patches]
    found: list[Tensor] = []  # of every block, chunk after chunk

    def keep(attention: nn.Module, taken: tuple[Tensor, ...], given: Tensor) -> None:
        assert isinstance(attention, Attention)
        q, k, _ = attention.heads(taken[0])
        weights = F.softmax(q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5, -1)
        weights = weights[..., module.num_prefix :, module.num_prefix :]
        weights = weights / weights.sum(-1, keepdim=True)
        found.append((weights * apart).sum(-1).mean(2).sum(0))  # [H]

    blocks = [part for part in module.modules() if isinstance(part, Attention)]
    with hooked(blocks, keep):
        for chunk in inputs.split(AT_ONCE):
            module(chunk)
    by_chunk = torch.stack(found).unflatten(0, (-1, len(blocks)))  # [chunks, depth, H]
    return (by_chunk.sum(0) / len(inputs)).float().cpu().numpy()


@torch.inference_mode()
def position_similarity(module: VisionTransformer) -> np.ndarray | None:
    """Return the cosine of some patches' positions, evenly spread, with those of all: [r, c, rows, columns].

    As figure 7 of Dosovitskiy et al. 2021. None where nothing is added to the tokens.
    """
    added = module.positions_on(module.grid)
    if added is None:
        return None
    positions = added[0, module.num_prefix :]
    cosine = (F.normalize(positions, dim=-1) @ F.normalize(positions, dim=-1).T).cpu().numpy()
    rows, columns = (_spread(side) for side in module.grid)
    return cosine.reshape(*module.grid, *module.grid)[np.ix_(rows, columns)]


def receptive_field(module: nn.Module, inputs: Tensor) -> np.ndarray | None:
    """Return how much the last map's middle place depends on every pixel: [height, width], summing to 1.

    The mean absolute gradient over images and channels (Luo et al. 2016, arXiv:1701.04128). None where no map is left,
    and for others' transformers, whose tensors do not say where their places are.
    """
    if structure_of(module).family == "vit" and own_transformer(module) is None:
        return None
    field = np.zeros(inputs.shape[-2:])
    for chunk in inputs.split(AT_ONCE):
        images = chunk.detach().clone().requires_grad_()
        with torch.enable_grad(), _last_map(module) as maps:
            module(images)
            if not maps:
                return None
            middle = maps[-1][:, :, maps[-1].shape[2] // 2, maps[-1].shape[3] // 2]
            (gradient,) = torch.autograd.grad(middle.sum(), images)
        field += gradient.abs().sum((0, 1)).double().cpu().numpy()
    return field / max(field.sum(), 1e-30)


def area_of_most(field: np.ndarray, most: float = 0.9) -> float:
    """Return the smallest share of the pixels that holds nine tenths of a field."""
    return float((np.cumsum(np.sort(field.ravel())[::-1]) < most).sum() + 1) / field.size


@contextmanager
def _last_map(module: nn.Module) -> Iterator[list[Tensor]]:
    """Yield the list that a forward pass puts the last map [B, C, rows, columns] of more than one place into."""
    maps: list[Tensor] = []
    transformer = own_transformer(module)

    def keep(part: nn.Module, taken: tuple, given: Any) -> None:
        if transformer:
            given = given[:, transformer.num_prefix :].transpose(1, 2).unflatten(-1, transformer.grid)
        if isinstance(given, Tensor) and given.ndim == 4 and min(given.shape[2:]) > 1:
            maps[:] = [given]

    parts = [transformer.blocks[-1]] if transformer else list(module.modules())
    with hooked(parts, keep), all_tokens(module):
        yield maps


def _spread(side: int) -> np.ndarray:
    return np.unique(np.linspace(0, side - 1, min(side, MOST_POSITIONS)).round().astype(int))


def _kept(field: np.ndarray) -> np.ndarray:
    """Return a field in parts of its largest value, no larger than a figure shows."""
    image = torch.from_numpy(field)[None, None]
    size = (min(field.shape[0], FIELD_SIDE), min(field.shape[1], FIELD_SIDE))
    small = F.adaptive_avg_pool2d(image, size)[0, 0].numpy()
    return small / max(small.max(), 1e-30)
