"""Whether a map depends on what the model learned: the same map of a copy whose weights were shuffled.

The randomisation check of Adebayo et al. 2018 (arXiv:1810.03292). It is noisy (Hedstroem et al. 2024,
arXiv:2405.02383): a warning, and no score.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor, nn

from ..model import Model
from ..models.interface import device_of
from ..randomness import derive_seed
from .cells import Grid, to_cells
from .explain import Explanation, maps_of
from .hooks import answering
from .methods import OCCLUSION

MOST_IMAGES = 16


def likeness(
    model: Model, images: Tensor, method: str, explanations: Sequence[Explanation], grid: Grid
) -> float | None:
    """Return the rank correlation of the maps of images [B, 3, height, width] with those of shuffled weights.

    None for occlusion, which asks the model itself.
    """
    if method == OCCLUSION:
        return None
    some = explanations[:MOST_IMAGES]
    shuffled = replace(model, module=with_shuffled_weights(model.module))
    device = device_of(model.module)
    wanted = [model.classes.index(explanation.class_name) for explanation in some]
    with answering(shuffled.module):
        others = maps_of(shuffled, images[: len(some)].to(device), wanted, method, grid)
    ours = np.stack([explanation.cells.ravel() for explanation in some])
    return rank_correlation(ours, np.concatenate([to_cells(values[None], grid) for values in others]))


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Return the mean rank correlation of maps [N, K] of the same images; a flat one is like no other."""
    varied = [(x, y) for x, y in zip(a, b, strict=True) if np.ptp(x) > 0 and np.ptp(y) > 0]
    ranks = ((rankdata(x), rankdata(y)) for x, y in varied)
    return float(np.mean([np.corrcoef(x, y)[0, 1] for x, y in ranks])) if varied else 0.0


def with_shuffled_weights(module: nn.Module) -> nn.Module:
    """Return a copy of a module that has learned nothing: in every tensor the weights change places."""
    copy = deepcopy(module)
    generator = torch.Generator().manual_seed(derive_seed("shuffled weights"))
    with torch.no_grad():
        for parameter in copy.parameters():
            order = torch.randperm(parameter.numel(), generator=generator).to(parameter.device)
            parameter.copy_(parameter.flatten()[order].view(parameter.shape))
    return copy
