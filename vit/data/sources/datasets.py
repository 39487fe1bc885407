"""Where images come from, and the three splits they are read in.

A source function returns the splits that exist; `load` cuts the missing ones from them, by `splits.choose`.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ...errors import UserError, nearest
from ...places import expanded
from ...recipe import Data
from ...registry import DATASETS
from . import splits
from .broken import reasons, refuse
from .folders import UNLABELLED, folder, named
from .groups import group_numbers, read_groups
from .images import Images, Source, class_counts
from .passed_over import in_words
from .stores import Pixels

logger = logging.getLogger(__name__)

__all__ = ["Dataset", "Images", "Source", "check_readable", "class_counts", "digits", "folder", "load", "named"]

MIN_OF_CLASS_IN_FOLDS = 3  # one that is tested, one that validates, one to train on
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
    together = _together(source, data)
    skipped: dict[str, str] = {}
    if data.on_error == "skip":
        source, skipped = without_broken(source)
    parts = dict(source.splits)
    if data.folds is not None:
        chosen = fold_numbers(source, data, together) == data.fold
        parts["train"], parts["test"] = parts["train"].where(~chosen), parts["train"].where(chosen)
    drawn_by = data.split_seed if data.resample_seed is None else data.resample_seed  # what is not tested
    of_fold = "" if data.fold is None else f" {data.fold}"  # else the same images would validate in all
    missing = [name for name in ("test", "validation") if name not in parts]
    for i, name in enumerate(missing):
        fraction = data.test_fraction if name == "test" else data.validation_fraction
        _check_enough(parts["train"], source.classes, fraction, name, needed=1 + len(missing) - i)
        seed = data.split_seed if name == "test" else drawn_by
        chosen = _chosen(parts["train"], fraction, seed, name + of_fold, together)
        parts["train"], parts[name] = parts["train"].where(~chosen), parts["train"].where(chosen)
    train = parts["train"]
    if data.fraction < 1:
        train = train.where(_chosen(train, data.fraction, drawn_by, "fraction" + of_fold, together))
    if together is not None:
        _check_classes_left(train, source.classes)
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


def without_labels(dataset: Dataset) -> Dataset:
    """Return the same images in the same splits, of one class that says nothing."""
    parts = {name: dataset.split(name) for name in ("train", "validation", "test")}
    blank = {name: replace(part, labels=np.zeros(len(part), dtype=np.int64)) for name, part in parts.items()}
    return replace(dataset, classes=UNLABELLED, **blank)


def tested_in_folds(data: Data) -> tuple[Images, np.ndarray]:
    """Return all images of which some fold tests, and which of `data.folds` tests each: int [N]."""
    source = read_source(data.name, data.path)
    together = _together(source, data)
    if data.on_error == "skip":
        source, _ = without_broken(source)
    return source.splits["train"], fold_numbers(source, data, together)


def fold_numbers(source: Source, data: Data, together: Mapping[str, str] | None = None) -> np.ndarray:
    """Return which of `data.folds` each image of a source's train split is tested in: int [N].

    `together` are the groups of images that share a fold, by name; images of one name always do. Raises UserError where
    there is a test split, and where a class has too few images.
    """
    images, count = source.splits["train"], data.folds
    assert count is not None
    if "test" in source.splits:
        raise UserError(
            f"data.folds is {count}, and {data.path or data.name} has a test split of its own, on which every model is "
            "tested; leave folds out, or give the images without that split"
        )
    counts = images.counts(len(source.classes))
    fewest = int(counts.argmin())
    needed = max(count, MIN_OF_CLASS_IN_FOLDS)
    if counts[fewest] < needed:
        raise UserError(
            f"data.folds is {count}: {needed} images or more are needed in every class, {source.classes[fewest]} has "
            f"{counts[fewest]}; give fewer folds, or add images"
        )
    return splits.partition(
        images.ids, images.labels, count, data.split_seed, group_numbers(images.ids, together or {})
    )


def _together(source: Source, data: Data) -> Mapping[str, str] | None:
    """Return the group of every image that has one, by name; None where no groups are given."""
    if data.groups is None:
        return None
    return read_groups(data.groups, [name for images in source.splits.values() for name in images.ids])


def _chosen(images: Images, fraction: float, seed: int, purpose: str, together: Mapping[str, str] | None) -> np.ndarray:
    groups = None if together is None else group_numbers(images.ids, together)
    return splits.choose(images.ids, images.labels, fraction, seed, purpose, groups)


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


def _check_classes_left(train: Images, classes: tuple[str, ...]) -> None:
    """Refuse groups so large that none of a class's is left to train on."""
    gone = [name for name, count in zip(classes, train.counts(len(classes)), strict=True) if not count]
    if gone:
        raise UserError(
            f"data.groups leaves no training image of {', '.join(gone)}: all images of such a class lie in groups that "
            "are tested or validate; give smaller groups, more images, or fewer splits to cut"
        )


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
