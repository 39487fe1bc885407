"""RandAugment's fourteen operations, as torchvision has them, for the images of a batch that drew them."""

import math
from collections.abc import Callable
from functools import partial
from itertools import chain

import numpy as np
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from ...randomness import Draws
from .batch_changes import Change, each_by, moved

STRONGEST = 30
FILL = 128  # where an image is moved away
Operation = Callable[[Tensor], Tensor]


def randaugment(size: tuple[int, int], *, num_ops: int = 2, magnitude: int = 9) -> Callable[[Tensor, Draws], Tensor]:
    """Cubuk et al. 2020, arXiv:1909.13719."""
    both_ways = operations(size, magnitude / STRONGEST)
    changes: list[Change] = [partial(_without_places, one) for one in chain.from_iterable(both_ways)]

    def step(images: Tensor, draws: Draws) -> Tensor:
        for _ in range(num_ops):
            images = each_by(2 * draws.below(len(both_ways)) + draws.below(2), changes, images)
        return images

    return step


def operations(size: tuple[int, int], strength: float) -> list[tuple[Operation, Operation]]:
    """Return every operation there and back, or twice where it has one way; `strength` goes from 0 to 1."""
    height, width = size
    shear, angle = 0.3 * strength, math.radians(30 * strength)
    across, down = (int(150 / 331 * side * strength) for side in (width, height))
    cos, sin = math.cos(angle), math.sin(angle)
    more, less = 1 + 0.9 * strength, 1 - 0.9 * strength
    # Sheared about the upper left corner, as in the source.
    moves = [
        (_moving(1, s * shear, s * shear * height / 2, 0, 1, 0) for s in (1, -1)),
        (_moving(1, 0, 0, s * shear, 1, s * shear * width / 2) for s in (1, -1)),
        (_moving(1, 0, s * across, 0, 1, 0) for s in (1, -1)),
        (_moving(1, 0, 0, 0, 1, s * down) for s in (1, -1)),
        (_moving(cos, s * sin, 0, -s * sin, cos, 0) for s in (1, -1)),
    ]
    blends = [
        (partial(F.adjust_brightness, brightness_factor=factor) for factor in (more, less)),
        (partial(F.adjust_saturation, saturation_factor=factor) for factor in (more, less)),
        (partial(F.adjust_contrast, contrast_factor=factor) for factor in (more, less)),
        (partial(F.adjust_sharpness, sharpness_factor=factor) for factor in (more, less)),
    ]
    posterize = partial(F.posterize, bits=round(8 - 4 * strength))
    solarize = partial(F.solarize, threshold=255 * (1 - strength))
    one_way = [(one, one) for one in (_unchanged, posterize, solarize, F.autocontrast, F.equalize)]
    return [(there, back) for there, back in [*moves, *blends, *one_way]]


def _moving(*values: float) -> Operation:
    matrix = np.array(values).reshape(1, 2, 3)
    return lambda images: moved(images, matrix.repeat(len(images), 0), FILL)


def _unchanged(images: Tensor) -> Tensor:
    return images


def _without_places(operation: Operation, images: Tensor, places: np.ndarray) -> Tensor:
    return operation(images)
