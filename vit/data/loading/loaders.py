"""Batches: of which images, and loaded by which process, the last without any influence."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader
from torch.utils.data import Dataset as TorchDataset

from ...errors import UserError
from ...hardware.processes import ALONE, Share
from ...recipe import Data, Recipe
from ..preprocessing import Preprocessing
from ..sources.datasets import Dataset, Images
from . import cache
from .in_memory import InMemoryEvaluation, InMemoryTraining, as_it_is, fits, trainable
from .order import Position, training_batches
from .threads import ThreadedLoader
from .training_images import TrainingImages
from .worker_processes import ProcessLoader

EVALUATION_BATCH_SIZE = 256  # of images of up to 224 x 224 pixels, and fewer of larger ones
Workers = int | Literal["auto"]  # loading processes, or threads
Augmentation = Literal["none", "per_image", "per_batch"]  # none: of features, computed once


def preprocessing_of(data: Data, dataset: Dataset, trained: Preprocessing | None = None) -> Preprocessing:
    """Return what the recipe says; where it is silent, what the pretrained weights were trained with, or the usual."""
    usual = trained or Preprocessing(data.image_size, dataset.mean, dataset.std)
    return Preprocessing(
        data.image_size,
        data.mean or usual.mean,
        data.std or usual.std,
        data.interpolation or usual.interpolation,
        data.crop_fraction or usual.crop_fraction,
        data.crop_mode or usual.crop_mode,
    )


class EvaluationImages(TorchDataset):
    """index -> the model's input [3, height, width] and its class number, or its row [C] of labels."""

    def __init__(self, images: Images, preprocessing: Preprocessing):
        self.images = images
        self.transform = preprocessing.transform()

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int | np.ndarray]:
        return self.transform(self.images.read(index)), self.images.target(index)


@dataclass(frozen=True)
class Loaders:
    """A run's loaders, made when a process knows its share and device and where it starts; `parts` make up a step.

    Small sets give batches that lie on the device, others in the processor's memory. `augmentation` says by which of
    the two engines images are changed, whose steps are alike but for parts of pixels (docs/loading.md).
    """

    augmentation: Augmentation
    training: Callable[[int, Share, Position, torch.device], DataLoader]
    validation: Callable[[Share, torch.device], DataLoader]


def make_loaders(recipe: Recipe, dataset: Dataset, preprocessing: Preprocessing) -> Loaders:
    """Return the loaders of a recipe's data.

    Training batches are uint8 images [B, 3, height, width] and labels [B] or [B, C].
    Raises UserError for transforms that refuse their options, and for a cache that has no room.
    """
    if dataset.small and trainable(dataset.train, preprocessing, recipe):
        return _in_memory_loaders(recipe, dataset, preprocessing)
    workers, small = recipe.data.workers, dataset.small
    train, validation = (part.in_memory() if small else part for part in (dataset.train, dataset.validation))
    train, training_preprocessing = cache.of_training(train, preprocessing, recipe)
    validation, rest = cache.of_evaluation(validation, preprocessing, recipe.data)
    try:
        images = TrainingImages(train, training_preprocessing, recipe)
    except ValueError as error:
        raise UserError(f"augment: {error}") from error

    def training(parts: int, share: Share, start: Position, device: torch.device) -> DataLoader:
        batches = training_batches(recipe, dataset.train, parts, share, start)
        count = _count(workers, small)
        if images.leaves_the_lock and count:
            return ThreadedLoader(images, batches, count)
        image_bytes = max(3 * math.prod(images.image_size(epoch)) for epoch in (0, recipe.schedule.epochs))
        return ProcessLoader(images, batches, count, batches.batch_size, image_bytes)

    return Loaders(
        "per_image", training, lambda share, device: evaluation_loader(validation, rest, workers, small, share, device)
    )


def _in_memory_loaders(recipe: Recipe, dataset: Dataset, preprocessing: Preprocessing) -> Loaders:
    training_images = lru_cache(partial(InMemoryTraining, dataset.train, preprocessing, recipe))

    def training(parts: int, share: Share, start: Position, device: torch.device) -> DataLoader:
        batches = training_batches(recipe, dataset.train, parts, share, start)
        return DataLoader(training_images(device), batch_sampler=batches, collate_fn=as_it_is)

    def validation(share: Share, device: torch.device) -> DataLoader:
        return evaluation_loader(dataset.validation, preprocessing, recipe.data.workers, True, share, device)

    return Loaders("per_batch", training, validation)


def evaluation_loader(
    images: Images,
    preprocessing: Preprocessing,
    workers: Workers,
    small: bool,
    share: Share = ALONE,
    device: torch.device | str = "cpu",
    batch_size: int | None = None,
) -> DataLoader:
    """Return the loader that gives a process's share of a split, every image of it once, in order.

    Inputs [B, 3, height, width] and labels [B]. The shares differ by one image where the processes do not divide them.
    """
    mine = range(share.rank, len(images), share.world_size)
    pixels = math.prod(preprocessing.image_size)
    batch_size = batch_size or min(EVALUATION_BATCH_SIZE, max(1, EVALUATION_BATCH_SIZE * 224**2 // pixels))
    if small and fits(images, preprocessing):
        inputs = InMemoryEvaluation(images, preprocessing, device)
        return DataLoader(inputs, batch_size, sampler=mine, collate_fn=as_it_is)
    images = images.in_memory() if small else images
    batches = BatchSampler(mine, batch_size, drop_last=False)
    float_bytes = 4 * 3 * pixels
    return ProcessLoader(
        EvaluationImages(images, preprocessing), batches, _count(workers, small), batch_size, float_bytes
    )


def _count(workers: Workers, small: bool) -> int:
    return (0 if small else min(torch.get_num_threads(), 8)) if workers == "auto" else workers
