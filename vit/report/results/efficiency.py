"""Accuracy over training images, and over time."""

from dataclasses import dataclass

from .rows import OfModel, OfPair


@dataclass(frozen=True)
class BackTest:
    """The error on the last fraction as the smaller ones predict it, and the 95 % interval of predicted - measured."""

    images: int
    predicted: float
    measured: float
    missed: float
    low: float
    high: float
    passed: bool


@dataclass(frozen=True)
class Gain:
    """How much less error twice the images would leave, with a 95 % interval."""

    gain: float
    low: float
    high: float


@dataclass(frozen=True)
class CurveFit(OfModel):
    """A law of the error, factor * images ** -exponent + floor, and what it says of twice the images, or why nothing.

    `reason` is in words; that nothing is said shows by `twice`.
    """

    factor: float
    exponent: float
    floor: float
    back_test: BackTest | None
    twice: Gain | None
    reason: str | None


@dataclass(frozen=True)
class Crossing:
    """Where two measured curves cross: a 95 % interval, and the share of resamples in which their order is reversed.

    `images` is None where no crossing is claimed.
    """

    images: float | None
    low: float | None
    high: float | None
    share_in_range: float
    reason: str | None


@dataclass(frozen=True)
class RivalsCrossing(Crossing, OfPair):
    """Where the curves of the rivals cross; the names of the two come first."""


@dataclass(frozen=True)
class CurveFits:
    """The fitted laws of all models, and where those of the rivals cross."""

    fits: list[CurveFit]
    crossing: RivalsCrossing | None


@dataclass(frozen=True)
class TimeToLevel(OfModel):
    """The mean seconds and images of a model's seeds until they reached the level."""

    seconds: float
    images_seen: float


@dataclass(frozen=True)
class TimeToAccuracy:
    """The highest validation accuracy that every training reached, and each model's way there."""

    validation_top1: float
    models: list[TimeToLevel]


@dataclass(frozen=True)
class Curve(OfModel):
    """The metrics of one training, by name: a value an epoch."""

    seed: int
    columns: dict[str, list[float]]
