"""Accuracy on changed images, and what is seen inside of a model."""

from dataclasses import dataclass

from ..statistics import Estimate
from .rows import OfModel


@dataclass(frozen=True)
class Corruption:
    """The accuracy under one corruption, by severity, and the mean of these."""

    name: str
    kind: str
    top1: list[float]
    mean: float


@dataclass(frozen=True)
class Occlusion:
    """The accuracy where a share of the patches is covered."""

    occluded: float
    top1: float


@dataclass(frozen=True)
class Shift:
    """The share of predictions that stay the same where images move by a part of their side."""

    shift: float
    same: float


@dataclass(frozen=True)
class Resolution:
    """The accuracy where a part of the image's side is kept."""

    resolution: float
    top1: float


@dataclass(frozen=True)
class RobustnessRow(OfModel):
    """A model's accuracy on changed images and on the same ones unchanged; `kinds` are means over corruptions."""

    images: int
    clean: Estimate
    corrupted: Estimate
    kept: Estimate
    corruptions: list[Corruption]
    kinds: dict[str, float]
    occlusion: list[Occlusion]
    shift: list[Shift]
    resolution: list[Resolution]


@dataclass(frozen=True)
class ReceptiveField:
    """How much every pixel counts, of the strongest (the first seed's), and the share of pixels that holds 90 %."""

    map: list[list[float]]
    area: float


@dataclass(frozen=True)
class InsideRow(OfModel):
    """What was seen inside of a model.

    `attention_distance` [depth, heads] in parts of the image's side; `position_similarity` [r, c, rows, columns].
    """

    receptive_field: ReceptiveField | None
    attention_distance: list[list[float]] | None
    position_similarity: list[list[list[list[float]]]] | None
