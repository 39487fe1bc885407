"""What a plan must know of images: how many, of what sizes, in which classes and splits; a few of them are decoded."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..data.sources import datasets
from ..data.sources.datasets import Images
from ..errors import UserError
from ..recipe import Data, load_recipe

LOOKED_AT = 64  # images, whose sizes stand for all
BASE = "finetune_vit"  # a shipped recipe, whose data section is replaced
ANY_SIZE = 224  # until one is chosen


@dataclass(frozen=True)
class Survey:
    """The images of a data set, in the splits that a recipe cuts; `side` is the median of their shorter sides."""

    data: Data
    label: str
    classes: tuple[str, ...]
    training: int
    validation: int
    test: int
    fewest: int  # training images of the rarest class
    most: int
    side: int
    given: tuple[str, ...]  # the splits that are there
    small: bool
    encoded: bool  # files that are decoded, unlike a data set of arrays

    @property
    def images(self) -> int:
        return self.training + self.validation + self.test

    def in_words(self) -> str:
        cut = [name for name in ("validation", "test") if name not in self.given]
        splits = f"{' and '.join(cut)} cut from train" if cut else "in the splits that are there"
        return (
            f"{self.label}: {self.training:,} training, {self.validation:,} validation and {self.test:,} test images "
            f"({splits}) of {len(self.classes)} classes with {self.fewest:,} to {self.most:,} training images; "
            f"shorter side {self.side} pixels in the middle"
        )


def look(data: str, overrides: Mapping[str, Any]) -> Survey:
    """Look at a data set as `vit train` would read it; raises UserError for what cannot be compared."""
    name, path = datasets.named(data)
    given = {key: value for key, value in overrides.items() if key.split(".")[0] == "data"}
    section = load_recipe(BASE, {"data.name": name, "data.path": path, "data.image_size": ANY_SIZE} | given).data
    source = datasets.read_source(section.name, section.path)
    dataset = datasets.load(replace(section, fraction=1.0))
    if dataset.train.multilabel:
        raise UserError(f"{data}: a comparison judges one label an image, and these images may have several")
    counts = dataset.train.counts(len(dataset.classes))
    return Survey(
        data=section,
        label=Path(data).name or str(data),
        classes=dataset.classes,
        training=len(dataset.train),
        validation=len(dataset.validation),
        test=len(dataset.test),
        fewest=int(counts.min()),
        most=int(counts.max()),
        side=shorter_side(dataset.train),
        given=tuple(source.splits),
        small=dataset.small,
        encoded=dataset.train.store.encoded,
    )


def shorter_side(images: Images) -> int:
    """Return the median of some images' shorter sides; files that are broken are left."""
    sides = []
    for i in np.unique(np.linspace(0, len(images) - 1, LOOKED_AT, dtype=int)).tolist():
        try:
            sides.append(min(images.read(i).size))
        except UserError:  # told, with all others, before anything trains
            continue
    return int(np.median(sides)) if sides else ANY_SIZE
