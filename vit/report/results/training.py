"""What was trained: seeds, fractions, machines, and how it came about."""

from dataclasses import dataclass, field

from ...pretrained.start import Start
from .rows import OfModel


@dataclass(frozen=True)
class Hashes:
    """SHA-256 of the test images' names and labels, and of every model's file."""

    test: str
    models: dict[str, str]


@dataclass(frozen=True)
class Trial(OfModel):
    """A training of the search for a model's own recipe."""

    trial: int
    lr: float
    weight_decay: float
    validation_top1: float
    diverged: bool
    chosen: bool


@dataclass(frozen=True)
class Search:
    """How each model's own recipe was found: so many trials a model."""

    trials: int
    rows: list[Trial]


@dataclass(frozen=True)
class StudyDesign:
    """How a comparison was set up.

    `margin` is the difference of accuracy that matters; `resampled` says that every seed drew its training images anew;
    `folds` by how many every image was tested, each by trainings on the others, None for one test split; `late` lists
    what a time limit left out, in words; `baseline` is the model that all others vary in something, None without one.
    """

    protocol: str
    search: Search | None
    margin: float
    quick: bool
    resampled: bool
    folds: int | None = None
    time_limit_seconds: float | None = None
    late: list[str] = field(default_factory=list)
    baseline: str | None = None


@dataclass(frozen=True, kw_only=True)
class Trainings:
    """What was trained: every seed, fraction and machine; `starts` are the weights that models began with."""

    seeds: list[int]
    fractions: list[float]
    runs: int
    starts: dict[str, Start | None]
    threads: list[int]
    machines: list[str]
    hashes: Hashes
    left_out: list[str]


@dataclass(frozen=True)
class TrainingFacts(StudyDesign, Trainings):
    """What was trained, and then how the comparison was set up."""
