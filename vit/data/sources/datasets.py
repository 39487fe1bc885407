"""Where images come from, and the three splits they are read in.

A source function returns the splits that exist; `load` cuts the missing ones from them, by `splits.choose`.
"""

import logging
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ...errors import UserError, nearest
from ...places import expanded
from ...recipe import Data
from ...registry import DATASETS
from . import splits
from .broken import reasons, refuse
from .folders import folder, named
from .images import Images, Source, class_counts
from .passed_over import in_words
from .stores import Pixels

logger = logging.getLogger(__name__)

__all__ = ["Dataset", "Images", "Source", "check_readable", "class_counts", "digits", "folder", "load", "named"]

DECODED_BEFORE_TRAINING = 5_000  # files; more are left to `vit check`, which shows progress
DIGITS_MEAN, DIGITS_STD = (0.305, 0.305, 0.305), (0.376, 0.376, 0.376)  # of all pixels: 4.88 and 6.02 of 16


@dataclass(frozen=True)
class Dataset:
    """The disjoint splits of a recipe, and the channels' mean and deviation in [0, 1]."""

    classes: tuple[str, ...]
    train: Images
    validation: Images
    test: Images
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    small: bool
    skipped: dict[str, str] = field(default_factory=dict)  # names of images that cannot be decoded, and why
    passed_over: dict[str, str] = field(default_factory=dict)  # names of entries that are not used, and why

    def split(self, name: str) -> Images:
        images = {"train": self.train, "validation": self.validation, "val": self.validation, "test": self.test}
        if name not in images:
            raise UserError(f"there is no split {name}{nearest(name, images)} (train, validation, test)")
        return images[name]


def read_source(name: str, path: str | None) -> Source:
    """Return what a dataset has by itself; raises UserError for what is not there."""
    return DATASETS[name](path=None if path is None else str(expanded(path)))


def load(data: Data) -> Dataset:
    """Return the splits that a recipe's `data` section describes; raises UserError for what is not there.

    Files that cannot be decoded are left out before anything is cut where `on_error` is skip.
    """
    source = read_source(data.name, data.path)
    skipped: dict[str, str] = {}
    if data.on_error == "skip":
        source, skipped = without_broken(source)
    parts = dict(source.splits)
    drawn_by = data.split_seed if data.resample_seed is None else data.resample_seed  # what is not tested
    missing = [name for name in ("test", "validation") if name not in parts]
    for i, name in enumerate(missing):
        fraction = data.test_fraction if name == "test" else data.validation_fraction
        _check_enough(parts["train"], source.classes, fraction, name, needed=1 + len(missing) - i)
        seed = data.split_seed if name == "test" else drawn_by
        chosen = splits.choose(parts["train"].ids, parts["train"].labels, fraction, seed, name)
        parts["train"], parts[name] = parts["train"].where(~chosen), parts["train"].where(chosen)
    train = parts["train"]
    if data.fraction < 1:
        train = train.where(splits.choose(train.ids, train.labels, data.fraction, drawn_by, "fraction"))
    return Dataset(
        classes=source.classes,
        train=train,
        validation=parts["validation"],
        test=parts["test"],
        mean=source.mean,
        std=source.std,
        small=source.small,
        skipped=skipped,
        passed_over=source.passed_over,
    )


def log_left_out(dataset: Dataset) -> None:
    """Log what lies among the images and is not used, and how many of them cannot be decoded."""
    for line in in_words(dataset.passed_over):
        logger.info(f"not used: {line}")
    if dataset.skipped:
        logger.info(f"{len(dataset.skipped):,} files cannot be decoded and are left out (data.on_error=skip)")


def without_broken(source: Source) -> tuple[Source, dict[str, str]]:
    """Return the images that can be decoded, and the others' names with the reasons.

    Raises UserError for a class of train, and for a validation split, of which nothing is left.
    """
    kept, skipped = dict(source.splits), {}
    for split, images in source.splits.items():
        broken = reasons(images)
        kept[split] = images.where(np.array([i not in broken for i in range(len(images))]))
        skipped |= {images.ids[i]: reason for i, reason in broken.items()}
    counts = kept["train"].counts(len(source.classes))
    empty = [name for name, count in zip(source.classes, counts, strict=True) if not count]
    if empty:
        raise UserError(f"no training image can be decoded of {', '.join(empty)}; mend some, or remove the class")
    if "validation" in kept and not len(kept["validation"]):
        raise UserError(
            "no image of the validation split can be decoded; mend some, or remove the split, and it is cut"
        )
    return replace(source, splits=kept), skipped


def digits(*, path: str | None = None) -> Source:
    from sklearn.datasets import load_digits

    bunch: Any = load_digits()
    grey = np.round(bunch.images * (255 / 16)).astype(np.uint8)
    images = Images(
        ids=tuple(f"digit-{i:04d}" for i in range(len(grey))),
        labels=bunch.target.astype(np.int64),
        store=Pixels(np.repeat(grey[..., None], 3, axis=-1)),
    )
    return Source(tuple("0123456789"), {"train": images}, DIGITS_MEAN, DIGITS_STD, small=True)


def check_readable(*parts: Images) -> None:
    """Decode the files of a set small enough to wait for, once, and refuse it if any cannot be."""
    encoded = [images for images in parts if images.store.encoded]
    if sum(map(len, encoded)) > DECODED_BEFORE_TRAINING:
        return
    refuse([f"{images.address(i)}: {reason}" for images in encoded for i, reason in reasons(images).items()])


def _check_enough(images: Images, classes: tuple[str, ...], fraction: float, purpose: str, needed: int) -> None:
    counts = images.counts(len(classes))
    fewest = int(counts.argmin())
    if fraction == 0:
        raise UserError(f"no {purpose} images: give data.{purpose}_fraction above 0, or a {purpose}/ folder")
    if counts[fewest] < needed:
        raise UserError(
            f"no {purpose} images can be taken from train: {needed} images or more are needed in every class, "
            f"{classes[fewest]} has {counts[fewest]}; add images, or give a {purpose}/ folder"
        )
