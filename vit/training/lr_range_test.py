"""Which learning rates a model learns with: a few steps at each of many, from far too low to far too high.

The range test of Smith 2017 (arXiv:1506.01186), with learning rates that grow exponentially.
"""

import math
from collections.abc import Iterable
from itertools import islice

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d
from torch import nn
from torch.optim import Optimizer

from .objectives import Step
from .trial_steps import Batch, take_step

AROUND = 3.0  # steps, the deviation of the mean around a loss
BROKEN = 4.0  # times the lowest loss: it will not come back


def range_test(
    module: nn.Module,
    batches: Iterable[list[Batch]],
    objective: Step,
    optimizer: Optimizer,
    lrs: np.ndarray,
    device: str,
    autocast_type: torch.dtype | None,
    clip_norm: float | None,
) -> np.ndarray:
    """Take one step at each learning rate and return the losses before them, as many as were finite and in range.

    A step is a list of batches, inputs and targets on the device. Groups keep the ratio of their learning rates.
    """
    scaler = torch.amp.GradScaler(device, enabled=autocast_type == torch.float16)
    shares = [group["lr"] for group in optimizer.param_groups]
    highest = max(shares)
    losses: list[float] = []
    for lr, parts in zip(lrs, islice(batches, len(lrs)), strict=True):
        for group, share in zip(optimizer.param_groups, shares, strict=True):
            group["lr"] = float(lr) * share / highest
        losses.append(take_step(module, parts, objective, optimizer, scaler, device, autocast_type, clip_norm))
        if not math.isfinite(losses[-1]) or losses[-1] > BROKEN * min(losses):
            break
    return np.array([value for value in losses if math.isfinite(value)])


def course(losses: Iterable[float]) -> np.ndarray:
    """Return the losses without the scatter of their batches, each the mean of those around it."""
    return gaussian_filter1d(np.asarray(losses, dtype=np.float64), AROUND, mode="nearest")


def suggested(lrs: np.ndarray, losses: np.ndarray) -> float | None:
    """Return the learning rate at which the loss falls fastest on its way to the lowest; None where it never falls.

    A fall is one of more than the losses' scatter about their course.
    """
    smooth = course(losses)
    lowest = int(smooth.argmin())
    scatter = np.abs(losses - smooth)[: lowest + 1].mean()
    if lowest < 2 or smooth[0] - smooth[lowest] <= 2 * scatter:
        return None
    slopes = np.gradient(smooth[: lowest + 1], np.log(lrs[: lowest + 1]))
    return float(lrs[int(slopes.argmin())])
