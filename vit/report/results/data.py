"""The images: how many there are, and what their audit found."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Skipped:
    """A file that could not be decoded and was left out, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class Unaudited:
    """A set of images that nobody looked at, and which models had it."""

    models: list[str]
    looked: Literal[False]
    images: int
    leaks: int


@dataclass(frozen=True)
class Audit:
    """What an audit found in a set of images, and which models had it; counts, and the names of the first ones."""

    models: list[str]
    looked: Literal[True]
    images: int
    leaks: int
    leaked: list[str]
    leaks_of_validation: int
    near_across_splits: int
    near_examples: list[list[str]]
    conflicts: int
    copies: int
    remarks: list[str]
    test_groups: list[list[str]]
    test_groups_left_out: int


@dataclass(frozen=True)
class DataSet:
    """The images that all models learned from and were tested on; `test_clusters` counts copies as one."""

    name: str
    classes: list[str]
    training_images: int
    validation_images: int
    test_images: int
    skipped: list[Skipped]
    test_images_per_class: list[int]
    audits: list[Audit | Unaudited]
    test_clusters: int
