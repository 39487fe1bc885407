"""Accuracies, costs, and which of two models is better."""

from dataclasses import dataclass

from ..statistics import Estimate, Needed
from .rows import Family, OfModel, OfPair, Outcome


@dataclass(frozen=True)
class Accuracy(Estimate):
    """The top-1 accuracy of a model on test, and that of each of its seeds."""

    seeds: list[float]


@dataclass(frozen=True)
class TimedOn:
    """Where and how a model was timed."""

    device: str
    threads: int
    batch_size: int
    train_batch_size: int
    train_precision: str


@dataclass(frozen=True)
class ModelRow:
    """A model on the largest fraction of the data: means of its seeds, and what it costs.

    Medians of rounds have their slowest and fastest round beside them, `_low` and `_high`. `model_bytes` is the size of
    its file, None in results that were kept before it was told.
    """

    name: str
    family: Family
    architecture: str
    parameters: int
    macs: int
    top1: Accuracy
    balanced_accuracy: float
    macro_f1: float
    ece: float
    nll: float
    train_seconds: float
    latency_ms: float
    latency_ms_low: float
    latency_ms_high: float
    images_per_second: float
    images_per_second_low: float
    images_per_second_high: float
    train_images_per_second: float
    train_images_per_second_low: float
    train_images_per_second_high: float
    peak_memory_bytes: int | None
    validation_top1: float
    precision: str
    timed_on: TimedOn
    model_bytes: int | None = None


@dataclass(frozen=True)
class Selection(OfModel):
    """A model that was the best of several on validation, and how much better it would seem if all were equal."""

    among: int
    bias: float | None


@dataclass(frozen=True)
class Pair(OfPair):
    """What is decided of the difference a - b in accuracy, what would have been found, and what finding takes."""

    difference: float
    seeds: tuple[int, int]
    verdict: Outcome
    winner: str | None
    low: float
    high: float
    level: float
    p_value: float | None
    p_adjusted: float | None
    detectable: float | None
    needed: Needed | None


@dataclass(frozen=True)
class FractionRow(OfModel):
    """A model's accuracy after training on a fraction of the training images."""

    fraction: float
    images: int
    top1: Accuracy
