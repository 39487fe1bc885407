"""What an audit of images found: what must be mended, what is worth a look, and the numbers of both."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..data.preprocessing import MOST_ELONGATED, elongated
from ..data.sources import passed_over
from ..data.sources.datasets import Dataset, Images
from ..data.sources.stores import ConcatStore
from ..recipe import Data
from . import fingerprints

SPLITS = ("train", "validation", "test")
MEASURED_STEPS = 3  # that a training's cost is estimated from
FEW_IMAGES = 10  # in a class of train: too few to learn from


@dataclass(frozen=True)
class Cost:
    """What training will take on this machine, from a few measured steps."""

    parameters: int
    macs: int
    seconds_per_epoch: float
    epochs: int
    device: str
    state_bytes: int  # weights, gradients and optimizer state
    activation_bytes: int  # of a step, all its images at once, and of the batch itself
    disk_bytes: int  # of the run
    cache_bytes: int  # of data.cache, on disk or in memory


@dataclass(frozen=True)
class ImageRef:
    """An image of the audit: its name, split and labels."""

    name: str
    split: str
    label: str


@dataclass(frozen=True)
class AuditReport:
    """What an audit found; `faults` must be mended before training, `remarks` are worth a look."""

    classes: tuple[str, ...]
    counts: np.ndarray  # [class, split] in the order of SPLITS
    sizes: np.ndarray  # [N, 2]: width and height of what could be decoded
    broken: dict[str, str]  # name and reason
    passed_over: dict[str, str]  # what lies among the images and is not used: name and reason
    leaks: list[list[ImageRef]]  # the same pixels in several splits
    conflicts: list[list[ImageRef]]  # the same pixels under several labels
    copies: list[list[ImageRef]]  # the same pixels more than once, in one split under one label
    near: list[list[ImageRef]]  # pairs, nearly the same
    faults: list[str]
    remarks: list[str]
    folder: Path
    cost: Cost | None = None


def joined_splits(dataset: Dataset) -> Images:
    """Return the images of all splits, one behind the other."""
    parts = [dataset.split(name) for name in SPLITS]
    which = np.repeat(np.arange(len(parts)), [len(images) for images in parts])
    places = np.concatenate([images.places for images in parts])
    store = ConcatStore(tuple(images.store for images in parts), which, places)
    ids = tuple(name for images in parts for name in images.ids)
    return Images(ids, np.concatenate([images.labels for images in parts]), store)


def audit_report(
    dataset: Dataset, everything: Images, prints: fingerprints.Fingerprints, section: Data, folder: Path
) -> AuditReport:
    splits = [name for name in SPLITS for _ in dataset.split(name).ids]
    seen = lambda i: ImageRef(everything.ids[i], splits[i], label_of(everything.labels[i], dataset.classes))  # noqa: E731
    groups = [[seen(i) for i in group] for group in fingerprints.same(prints)]
    near = [[seen(i) for i in pair] for pair in fingerprints.nearly_same(prints)]
    near.sort(key=lambda pair: (not crosses_splits(pair), not contradicts(pair)))  # the worst first
    counts = np.stack([dataset.split(name).counts(len(dataset.classes)) for name in SPLITS], axis=1)
    broken = {everything.ids[i]: reason for i, reason in enumerate(prints.reasons) if reason}
    leaks = [group for group in groups if crosses_splits(group)]
    conflicts = [group for group in groups if contradicts(group)]
    copies = [group for group in groups if not crosses_splits(group) and not contradicts(group)]
    faults = [f"{name}: {reason}" for name, reason in broken.items()] if section.on_error == "fail" else []
    faults += [f"the same image under several labels: {in_words(group)}" for group in conflicts]
    faults += [f"the same image in several splits: {in_words(group)}" for group in leaks]
    noted = [f"not used: {line}" for line in passed_over.in_words(dataset.passed_over)]
    noted += [*remarks(dataset.classes, counts), *remarks_on_copies(copies, near)]
    noted += remark_on_shapes(everything, prints)
    if broken and section.on_error == "skip":
        noted.append(f"{len(broken):,} files cannot be decoded and will be left out (data.on_error=skip)")
    sizes = prints.sizes[prints.decoded]
    return AuditReport(
        classes=dataset.classes,
        counts=counts,
        sizes=sizes,
        broken=broken,
        passed_over=dataset.passed_over,
        leaks=leaks,
        conflicts=conflicts,
        copies=copies,
        near=near,
        faults=faults,
        remarks=noted,
        folder=folder,
    )


def label_of(label: Any, classes: Sequence[str]) -> str:
    """Return a class number, or a row of labels, in words."""
    numbers = [int(label)] if np.ndim(label) == 0 else np.flatnonzero(label).tolist()
    return " | ".join(classes[number] for number in numbers)


def crosses_splits(group: list[ImageRef]) -> bool:
    return len({image.split for image in group}) > 1


def contradicts(group: list[ImageRef]) -> bool:
    """Return whether its images have different labels."""
    return len({image.label for image in group}) > 1


def in_words(group: list[ImageRef]) -> str:
    return ", ".join(f"{image.name} ({image.split}, {image.label})" for image in group)


def remarks_on_copies(copies: list[list[ImageRef]], near: list[list[ImageRef]]) -> list[str]:
    found = []
    if copies:
        more = sum(len(group) - 1 for group in copies)
        found.append(f"{more:,} images are copies of others in the same class and split")
    if near:
        across, other = sum(map(crosses_splits, near)), sum(map(contradicts, near))
        told = f"{across:,} of them across splits, {other:,} under two labels"
        found.append(f"{len(near):,} pairs of images are nearly the same, {told}")
    return found


def remark_on_shapes(images: Images, prints: fingerprints.Fingerprints) -> list[str]:
    places = np.flatnonzero(prints.decoded)
    long = places[elongated(prints.sizes[places])]
    if not len(long):
        return []
    width, height = prints.sizes[long[0]]
    return [
        f"{len(long):,} image{'s are' if len(long) > 1 else ' is'} more than {MOST_ELONGATED} times as long as wide: "
        f"of {images.ids[long[0]]} ({width:,} x {height:,}) a model sees the middle alone"
    ]


def remarks(classes: Sequence[str], counts: np.ndarray) -> list[str]:
    found = []
    if all(name.isdecimal() for name in classes):
        found.append(f"classes are numbers, and ordered as numbers: {classes[0]}, {classes[1]}, ... {classes[-1]}")
    train = counts[:, 0]
    if train.max() >= 3 * max(1, train.min()):
        most, fewest = classes[int(train.argmax())], classes[int(train.argmin())]
        found.append(f"uneven classes: {most} has {train.max():,} training images, {fewest} {train.min():,}")
    few = [name for name, count in zip(classes, train, strict=True) if count < FEW_IMAGES]
    if few:
        found.append(f"fewer than {FEW_IMAGES} training images: {', '.join(few[:10])}")
    for split, column in zip(SPLITS[1:], counts[:, 1:].T, strict=True):
        absent = [name for name, count in zip(classes, column, strict=True) if count == 0]
        if absent:
            found.append(f"no {split} image of: {', '.join(absent[:10])}")
    return found
