"""Small sets as one tensor on the device that trains: a batch is taken from it and augmented there, whole."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from ...randomness import Draws, derive_seed, keys_of
from ...recipe import Recipe
from ..augment.epoch_schedule import EpochSchedule, NamedSteps
from ..augment.per_batch import Step, steps_of
from ..preprocessing import Preprocessing, normalize, to_size
from ..sources.datasets import Images

MOST_BYTES = 2**30  # of all pixels at the model's size


def fits(images: Images, preprocessing: Preprocessing) -> bool:
    height, width = preprocessing.image_size
    return 3 * height * width * len(images) <= MOST_BYTES


def trainable(images: Images, preprocessing: Preprocessing, recipe: Recipe) -> bool:
    """Return whether the images are few enough, and every step of the recipe's `augment` is there for batches."""
    return fits(images, preprocessing) and steps_of(recipe.augment_steps(), preprocessing.image_size) is not None


class InMemoryTraining(TorchDataset):
    """Keys (epoch, index) of a batch -> augmented uint8 images [B, 3, height, width] and labels [B] or [B, C]."""

    def __init__(
        self, images: Images, preprocessing: Preprocessing, recipe: Recipe, device: torch.device | str
    ) -> None:
        pixels = cache(lambda stage: pixels_of(images, stage).to(device))
        self.stages = EpochSchedule(recipe, preprocessing, lambda stage, steps: _AtStage(pixels(stage), steps))
        self.labels = labels_of(images).to(device)
        self.keys = keys_of(images.ids)
        self.seed = recipe.training.seed

    def __getitems__(self, batch: Sequence[tuple[int, int]]) -> tuple[Tensor, Tensor]:
        (epoch, _), places = batch[0], np.array([place for _, place in batch])
        draws = Draws(self.keys[places], derive_seed(self.seed, "augment", epoch))
        where = torch.from_numpy(places).to(self.labels.device)
        return self.stages.at(epoch).augmented(where, draws), self.labels[where]


class _AtStage:
    """All images at one size, uint8 [N, 3, height, width], and the steps of augmentation there."""

    def __init__(self, pixels: Tensor, steps: NamedSteps) -> None:
        self.pixels = pixels
        self.steps: list[Step] = steps_of(steps, (pixels.shape[2], pixels.shape[3])) or []

    def augmented(self, places: Tensor, draws: Draws) -> Tensor:
        images = self.pixels[places]
        for step in self.steps:
            images = step(images, draws)
        return images


class InMemoryEvaluation(TorchDataset):
    """Indices of a batch -> the model's input [B, 3, height, width] and labels [B] or [B, C]."""

    def __init__(self, images: Images, preprocessing: Preprocessing, device: torch.device | str) -> None:
        self.preprocessing = preprocessing
        self.pixels = pixels_of(images, preprocessing).to(device)
        self.labels = labels_of(images).to(device)

    def __getitems__(self, places: Sequence[int]) -> tuple[Tensor, Tensor]:
        where = torch.tensor(places, device=self.labels.device)
        return normalize(self.pixels[where], self.preprocessing), self.labels[where]


def as_it_is(batch: Any) -> Any:
    """Collate what is a batch already."""
    return batch


def pixels_of(images: Images, preprocessing: Preprocessing) -> Tensor:
    """Return all images, sized as in evaluation: uint8 [N, 3, height, width]."""
    return torch.from_numpy(sized(images, preprocessing)).permute(0, 3, 1, 2).contiguous()


def sized(images: Images, preprocessing: Preprocessing) -> np.ndarray:
    """Return images as evaluation brings them to size: uint8 [N, height, width, 3]."""
    pixels = np.empty((len(images), *preprocessing.image_size, 3), dtype=np.uint8)
    for index, place in enumerate(pixels):  # in one thread: Python's lock makes two of them slower on files so small
        place[:] = np.asarray(to_size(preprocessing, Image.fromarray(images.pixels(index))))
    return pixels


def labels_of(images: Images) -> Tensor:
    """Return class numbers [N], or rows [N, C] of zeros and ones."""
    return torch.from_numpy(images.labels.astype(np.float32 if images.multilabel else np.int64))
