"""Loaders of training images, ours and the peers', each from files to normalised batches in fp32 on the CPU.

All of them take a crop of random area and shape, bring it to size, and mirror every second image. The peers' are set up
as their own training scripts do it, but for the crop's filter, which is the same for all.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..data.loading.loaders import make_loaders, preprocessing_of
from ..data.loading.order import Position
from ..data.preprocessing import IMAGENET_MEAN, IMAGENET_STD, normalize
from ..data.sources import datasets
from ..data.sources.datasets import Dataset
from ..hardware.machine import keep_freed_memory
from ..hardware.processes import ALONE
from ..recipe import Recipe
from .rounds import Work


def ours(recipe: Recipe, repeats: int) -> Work:
    """A recipe's training loader and what prepares its batches, over `repeats` copies of the images."""
    keep_freed_memory()  # as in a training
    dataset = repeated(datasets.folder(path=recipe.data.path), repeats)
    preprocessing = preprocessing_of(recipe.data, dataset)
    batches = make_loaders(recipe, dataset, preprocessing).training(1, ALONE, Position(), torch.device("cpu"))
    epoch = -1

    def work() -> int:
        nonlocal epoch
        epoch += 1
        batches.batch_sampler.set_epoch(epoch)  # type: ignore[union-attr]
        return counted((normalize(images, preprocessing), labels) for images, labels in batches)

    return work


def repeated(source: datasets.Source, repeats: int) -> Dataset:
    """Return a data set whose training images are those of a folder, several times; each time they are cropped anew."""
    once = source.splits["train"]
    images = once.at(np.tile(np.arange(len(once)), repeats))
    ids = tuple(f"{name} {i}" for i, name in enumerate(images.ids))
    train = datasets.Images(ids, images.labels, images.store, images.places)
    few = once.at(np.arange(1))
    return Dataset(source.classes, train, few, few, IMAGENET_MEAN, IMAGENET_STD, small=False)


def timm(folder: Path, repeats: int, image_size: int, batch_size: int, workers: int, interpolation: str) -> Work:
    from timm.data.dataset_factory import create_dataset
    from timm.data.loader import create_loader

    images: Any = create_dataset("", root=str(folder), split="")
    images.reader.samples = images.reader.samples * repeats
    loader = create_loader(
        images,
        (3, image_size, image_size),
        batch_size,
        is_training=True,
        color_jitter=None,  # type: ignore[arg-type]  # timm's own default is 0.4
        interpolation=interpolation,
        num_workers=workers,
        pin_memory=False,
        device=torch.device("cpu"),
    )
    return lambda: counted(loader)


def torchvision(folder: Path, repeats: int, image_size: int, batch_size: int, workers: int, interpolation: str) -> Work:
    """As references/classification/presets.py of torchvision, with Pillow's images."""
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import v2

    transform = v2.Compose(
        [
            v2.RandomResizedCrop(image_size, interpolation=v2.InterpolationMode(interpolation), antialias=True),
            v2.RandomHorizontalFlip(),
            v2.PILToTensor(),
            v2.ToDtype(torch.float, scale=True),
            v2.Normalize(IMAGENET_MEAN, IMAGENET_STD),
            v2.ToPureTensor(),
        ]
    )
    images: Any = ImageFolder(str(folder), transform)
    images.samples = images.samples * repeats
    loader = torch.utils.data.DataLoader(
        images, batch_size, shuffle=True, num_workers=workers, drop_last=True, persistent_workers=workers > 0
    )
    return lambda: counted(loader)


PEERS = {"timm": timm, "torchvision": torchvision}


def counted(batches: Iterable) -> int:
    count = 0
    for images, _ in batches:
        assert images.dtype == torch.float32
        count += len(images)
    return count
