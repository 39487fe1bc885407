"""What to take for each of a reader's aims, and the facts that it follows from."""

from dataclasses import dataclass
from typing import Literal

from .accuracy import Pair
from .rows import OfModel

Aim = Literal["most_accurate", "as_accurate_and_fastest", "few_labels"]
Ground = Literal["ahead", "as_good", "not_known", "not_tested", "not_measured"]


@dataclass(frozen=True)
class FewLabels:
    """The fraction of the data nearest to a tenth of the largest one, and the tests of all pairs trained on it."""

    fraction: float
    images: int
    pairs: list[Pair]


@dataclass(frozen=True)
class Ratio:
    """A ratio of two medians, and the extremes that their slowest and fastest rounds allow."""

    ratio: float
    low: float
    high: float


@dataclass(frozen=True)
class Pace(OfModel):
    """How fast a recommended model is beside `model`, another one that is as good or may be.

    `answers` is the other's latency over its own, `trains` its images/s over the other's: above 1 it is the faster one.
    """

    answers: Ratio
    trains: Ratio


@dataclass(frozen=True)
class Recommendation:
    """What to take for an aim, and why; `model` is None where nothing is recommended.

    `ground`: found ahead of all others; as good as the best within the margin; not known; no two models of several
    seeds; no fraction near a tenth. `among` are those that the model is the cheapest of: proven as good, or, where that
    is not known, measured within the margin of the best. `undecided` were not told from the best either; `untested`
    have one seed. `beside` is the test against the most accurate other model, `pace` the speed beside the fastest other
    one among, or the fastest of those whose latency overlaps. `faster` answer sooner and may be as good. `timed_alike`:
    all on one device.
    """

    aim: Aim
    ground: Ground
    model: str | None
    among: list[str]
    undecided: list[str]
    untested: list[str]
    beside: Pair | None
    pace: Pace | None
    faster: list[str]
    timed_alike: bool
