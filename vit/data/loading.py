"""Batches: which image comes when, how it is augmented, and by which process, the last without any influence."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import albumentations as A
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler
from torch.utils.data import Dataset as TorchDataset

from ..randomness import derive_seed
from ..recipe import Data, Recipe
from . import TRANSFORMS
from .datasets import Dataset, Images
from .preprocessing import Preprocessing, to_size

EVALUATION_BATCH_SIZE = 256
Workers = int | Literal["auto"]  # loading processes


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


class Augmentation:
    """A recipe's `augment`: pixels [height, width, 3] and a seed -> uint8 [3, height, width] of the model's size."""

    def __init__(self, recipe: Recipe, size: tuple[int, int]):
        steps = [(name, options) for step in recipe.augment for name, options in step.items()]
        self.crops_to_size = bool(steps) and steps[0][0] == "random_resized_crop"
        self.compose = A.Compose([TRANSFORMS[name](size, **options) for name, options in steps])

    def __call__(self, pixels: np.ndarray, seed: int) -> Tensor:
        self.compose.set_random_seed(seed)
        torch.default_generator.manual_seed(seed)  # of torchvision's operations, in randaugment
        augmented = self.compose(image=pixels)["image"]
        return torch.from_numpy(np.ascontiguousarray(augmented.transpose(2, 0, 1)))


class TrainingImages(TorchDataset):
    """(epoch, index) -> augmented uint8 image [3, height, width] and its class number.

    Unless the first step is random_resized_crop, an image is first brought to size as in evaluation. The size is that
    of the epoch, where the recipe raises it for the last ones.
    """

    def __init__(self, images: Images, preprocessing: Preprocessing, recipe: Recipe):
        self.images = images
        self.final = SizedImages(images, preprocessing, recipe)
        lower = recipe.schedule.lower_image_size
        self.before = SizedImages(images, replace(preprocessing, image_size=lower), recipe) if lower else self.final
        self.raised_from = recipe.schedule.epochs - recipe.schedule.raised_epochs if lower else 0
        self.seed = recipe.training.seed

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, int]:
        epoch, index = key
        sized = self.final if epoch >= self.raised_from else self.before
        seed = derive_seed(self.seed, "augment", epoch, self.images.ids[index])
        return sized.augmentation(sized.pixels(index), seed), int(self.images.labels[index])


class SizedImages:
    """Images of one size, and the augmentation that ends there."""

    def __init__(self, images: Images, preprocessing: Preprocessing, recipe: Recipe):
        self.images = images
        self.preprocessing = preprocessing
        self.augmentation = Augmentation(recipe, preprocessing.image_size)
        self.zooms = preprocessing.crop_fraction < 1 and not self.augmentation.crops_to_size

    def pixels(self, index: int) -> np.ndarray:
        stored = self.images.pixels
        if stored is not None and stored.shape[1:3] == self.preprocessing.image_size and not self.zooms:
            return stored[index]
        image = self.images.read(index)
        return np.asarray(image if self.augmentation.crops_to_size else to_size(self.preprocessing, image))


class EvaluationImages(TorchDataset):
    """index -> the model's input [3, height, width] and its class number."""

    def __init__(self, images: Images, preprocessing: Preprocessing):
        self.images = images
        self.transform = preprocessing.transform()

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(self.images.read(index)), int(self.images.labels[index])


class EpochOrder(Sampler):
    """A new order of all images every epoch, drawn from (seed, epoch) alone."""

    def __init__(self, length: int, seed: int):
        self.length = length
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:  # called by Lightning
        self.epoch = epoch

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = np.random.default_rng(derive_seed(self.seed, "order", self.epoch)).permutation(self.length)
        return ((self.epoch, int(index)) for index in order)


def training_loader(recipe: Recipe, dataset: Dataset, preprocessing: Preprocessing) -> DataLoader:
    """Return the loader of training batches: images uint8 [B, 3, height, width], labels [B].

    The last, smaller batch of an epoch is left out; another order leaves out other images.
    """
    images = dataset.train.in_memory() if dataset.small else dataset.train
    batch_size = min(recipe.training.batch_size, len(images))
    return DataLoader(
        TrainingImages(images, preprocessing, recipe),
        batch_size=batch_size,
        sampler=EpochOrder(len(images), recipe.training.seed),
        drop_last=True,
        **_workers(recipe.data.workers, dataset.small),
    )


def evaluation_loader(
    images: Images, preprocessing: Preprocessing, workers: Workers, small: bool, batch_size: int = EVALUATION_BATCH_SIZE
) -> DataLoader:
    """Return the loader that gives every image of a split once, in order: inputs [B, 3, height, width], labels [B]."""
    images = images.in_memory() if small else images
    return DataLoader(EvaluationImages(images, preprocessing), batch_size=batch_size, **_workers(workers, small))


def _workers(workers: Workers, small: bool) -> dict:
    count = (0 if small else min(torch.get_num_threads(), 8)) if workers == "auto" else workers
    return {"num_workers": count, "persistent_workers": count > 0, "pin_memory": torch.cuda.is_available()}
