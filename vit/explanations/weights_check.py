"""Whether a map depends on what the model learned: the same map of a copy whose weights were shuffled.

The randomisation check of Adebayo et al. 2018 (arXiv:1810.03292). It is noisy (Hedstroem et al. 2024,
arXiv:2405.02383): a warning, and no score.
"""

from copy import deepcopy

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import nn

from ..randomness import derive_seed

ALIKE = 0.5  # rank correlation above which a method tells little of what was learned


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Return the mean rank correlation of maps [N, K] of the same images; a flat one is like no other."""
    varied = [(x, y) for x, y in zip(a, b, strict=True) if np.ptp(x) > 0 and np.ptp(y) > 0]
    return float(np.mean([spearmanr(x, y).statistic for x, y in varied])) if varied else 0.0


def with_shuffled_weights(module: nn.Module) -> nn.Module:
    """Return a copy of a module that has learned nothing: in every tensor the weights change places."""
    copy = deepcopy(module)
    generator = torch.Generator().manual_seed(derive_seed("shuffled weights"))
    with torch.no_grad():
        for parameter in copy.parameters():
            order = torch.randperm(parameter.numel(), generator=generator).to(parameter.device)
            parameter.copy_(parameter.flatten()[order].view(parameter.shape))
    return copy
