"""Training transforms, over albumentations. Each function is one step of a recipe's `augment`.

The arguments before the star are the caller's; those behind it are the recipe's. Small sets are augmented in batches
instead, by `batch_augmentations`.
"""

import warnings
from collections.abc import Callable
from functools import partial
from typing import Annotated

import numpy as np
from PIL import Image
from pydantic import Field

with warnings.catch_warnings():  # it would ask a server whether there is a newer version
    import os

    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    import albumentations as A

import cv2

Probability = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(ge=0)]
Magnitude = Annotated[int, Field(ge=0, le=30)]
Count = Annotated[int, Field(ge=0)]
Turn = Annotated[float, Field(ge=0, le=0.5)]


def in_turn(transforms: list) -> A.Compose:
    return A.Compose(transforms)


def random_crop(size: tuple[int, int], *, padding: Count = 4) -> A.BaseCompose:
    height, width = size
    padded = A.PadIfNeeded(height + 2 * padding, width + 2 * padding, border_mode=cv2.BORDER_CONSTANT, fill=0)
    return A.Sequential([padded, A.RandomCrop(height, width)], p=1.0)


def horizontal_flip(size: tuple[int, int], *, p: Probability = 0.5) -> A.BasicTransform:
    return A.HorizontalFlip(p=p)


def affine(
    size: tuple[int, int],
    *,
    degrees: Positive = 0.0,
    shift: Positive = 0.0,
    scale: tuple[float, float] = (1.0, 1.0),
    p: Probability = 1.0,
) -> A.BasicTransform:
    """Rotate by up to `degrees`, shift by up to `shift` of the side, scale width and height: all uniformly drawn.

    The shift is of whole pixels here, and of parts of pixels in batches.
    """
    return A.Affine(rotate=(-degrees, degrees), translate_percent=(-shift, shift), scale=scale, p=p)


def color_jitter(
    size: tuple[int, int],
    *,
    brightness: Positive = 0.4,
    contrast: Positive = 0.4,
    saturation: Positive = 0.4,
    hue: Turn = 0.0,
    p: Probability = 1.0,
) -> A.BasicTransform:
    return A.ColorJitter(brightness=brightness, contrast=contrast, saturation=saturation, hue=hue, p=p)


def randaugment(size: tuple[int, int], *, num_ops: Count = 2, magnitude: Magnitude = 9) -> A.BasicTransform:
    """Cubuk et al. 2020, arXiv:1909.13719, in torchvision's fourteen operations, magnitude 0 to 30."""
    from torchvision.transforms.v2 import InterpolationMode, RandAugment

    operations = RandAugment(num_ops, magnitude, interpolation=InterpolationMode.BILINEAR, fill=[128, 128, 128])
    return A.Lambda(image=partial(_apply_to_pixels, operations), name="randaugment", p=1.0)


def _apply_to_pixels(operations: Callable, pixels: np.ndarray, **_: object) -> np.ndarray:
    return np.asarray(operations(Image.fromarray(pixels)))


def random_erasing(
    size: tuple[int, int], *, p: Probability = 0.25, scale: tuple[float, float] = (0.02, 0.33)
) -> A.BasicTransform:
    """Zhong et al. 2020, arXiv:1708.04896."""
    return A.Erasing(scale=scale, fill="random", p=p)
