"""The steps of a recipe's `augment` for whole batches, uint8 [B, 3, height, width], on their device.

Each draws for every image what its namesake in `augmentations` draws for one, and takes the same options.
"""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...randomness import Draws
from .batch_changes import (
    brighter,
    by_amount,
    choose,
    each_by,
    more_contrasting,
    more_saturated,
    moved,
    on_device,
    other_hue,
)
from .epoch_schedule import NamedSteps
from .randaugment import randaugment

Step = Callable[[Tensor, Draws], Tensor]
WIDEST, TALLEST = 3.3, 0.3  # width to height of an erased rectangle


def steps_of(steps: NamedSteps, size: tuple[int, int]) -> list[Step] | None:
    """Return these steps for images of height and width `size`, or None where one has no form for batches."""
    if any(name not in STEPS for name, _ in steps):
        return None
    return [STEPS[name](size, **options) for name, options in steps]


def random_crop(size: tuple[int, int], *, padding: int = 4) -> Step:
    def step(images: Tensor, draws: Draws) -> Tensor:
        padded = F.pad(images, (padding,) * 4)
        rows, columns = (on_device(draws.below(2 * padding + 1)[:, None] + np.arange(side), images) for side in size)
        every = torch.arange(len(images), device=images.device)[:, None, None]
        cropped = padded.permute(0, 2, 3, 1)[every, rows[:, :, None], columns[:, None, :]]
        return cropped.permute(0, 3, 1, 2).contiguous()

    return step


def horizontal_flip(size: tuple[int, int], *, p: float = 0.5) -> Step:
    return lambda images, draws: choose(draws.chance(p), images.flip(-1), images)


def affine(
    size: tuple[int, int],
    *,
    degrees: float = 0.0,
    shift: float = 0.0,
    scale: tuple[float, float] = (1.0, 1.0),
    p: float = 1.0,
) -> Step:
    def step(images: Tensor, draws: Draws) -> Tensor:
        angle = np.deg2rad(draws.uniform(-degrees, degrees))
        across, down = draws.uniform(-shift, shift) * size[1], draws.uniform(-shift, shift) * size[0]
        wider, taller = draws.uniform(*scale), draws.uniform(*scale)
        cos, sin = np.cos(angle), np.sin(angle)
        rows = [cos * wider, sin * taller, across, -sin * wider, cos * taller, down]
        return choose(draws.chance(p), moved(images, np.stack(rows, 1).reshape(-1, 2, 3), fill=0), images)

    return step


def color_jitter(
    size: tuple[int, int],
    *,
    brightness: float = 0.4,
    contrast: float = 0.4,
    saturation: float = 0.4,
    hue: float = 0.0,
    p: float = 1.0,
) -> Step:
    spreads = {brighter: brightness, more_contrasting: contrast, more_saturated: saturation}

    def step(images: Tensor, draws: Draws) -> Tensor:
        changes = [by_amount(change, draws.uniform(max(0.0, 1 - by), 1 + by)) for change, by in spreads.items()]
        if hue:
            changes.append(by_amount(other_hue, draws.uniform(-hue, hue)))
        changed = images
        for turn in np.argsort([draws.uniform() for _ in changes], axis=0):  # every image in an order of its own
            changed = each_by(turn, changes, changed)
        return choose(draws.chance(p), changed, images)

    return step


def random_erasing(size: tuple[int, int], *, p: float = 0.25, scale: tuple[float, float] = (0.02, 0.33)) -> Step:
    """Zhong et al. 2020, arXiv:1708.04896."""
    height, width = size
    least = scale[0] * height * width
    most = min(scale[1] * height * width, TALLEST * height**2, width**2 / WIDEST)

    def step(images: Tensor, draws: Draws) -> Tensor:
        area = draws.uniform(least, most)
        ratio = draws.uniform(TALLEST, WIDEST)
        down, across = np.round(np.sqrt(area / ratio)), np.round(np.sqrt(area * ratio))
        top, left = draws.below(height - down + 1), draws.below(width - across + 1)
        rows = _between(np.arange(height), top, top + down)
        columns = _between(np.arange(width), left, left + across)
        erased = (draws.chance(p) & (least <= most))[:, None, None] & rows[:, :, None] & columns[:, None, :]
        noise = draws.bits(-(-images[0].numel() // 8)).view(np.uint8)[:, : images[0].numel()].reshape(images.shape)
        return torch.where(on_device(erased, images)[:, None], on_device(noise, images), images)

    return step


def _between(places: np.ndarray, first: np.ndarray, end: np.ndarray) -> np.ndarray:
    return (places >= first[:, None]) & (places < end[:, None])


STEPS = {
    "random_crop": random_crop,
    "horizontal_flip": horizontal_flip,
    "affine": affine,
    "color_jitter": color_jitter,
    "randaugment": randaugment,
    "random_erasing": random_erasing,
}
