"""Whether probabilities can be trusted."""

from dataclasses import dataclass

from ..statistics import Interval
from .rows import OfModel


@dataclass(frozen=True)
class ScoreIntervals:
    """The 95 % intervals of scores of probabilities."""

    nll: Interval
    brier: Interval
    ece: Interval
    ece_equal_mass: Interval


@dataclass(frozen=True)
class ErrorIfCalibrated:
    """The calibration error that perfectly calibrated seeds would show: its mean, and what it seldom exceeds."""

    mean: float
    high: float


@dataclass(frozen=True)
class Bin:
    """Images of similar confidence: how many, and their mean confidence and accuracy."""

    images: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class ProbabilityScores:
    """How well probabilities fit the labels: means of the seeds, their intervals, and the bins of all answers."""

    ece: float
    ece_equal_mass: float
    nll: float
    brier: float
    area_under_risk: float
    intervals: ScoreIntervals
    ece_if_calibrated: ErrorIfCalibrated
    reliability: list[Bin]


@dataclass(frozen=True)
class RiskCoverage:
    """The share of errors among the most confident answers, for every share of images that are answered."""

    coverage: list[float]
    risk: list[float]


@dataclass(frozen=True)
class CalibrationRow(ProbabilityScores, OfModel):
    """A model's probabilities as they are and, where a temperature is proven, after it.

    `temperature` is None where a validation was not kept, `scaled` where none is proven.
    """

    risk_coverage: RiskCoverage
    temperature: float | None
    fitted_seeds: int
    scaled: ProbabilityScores | None


@dataclass(frozen=True)
class LossDifference:
    """The paired difference of the rivals' mean loss, a - b, with its 95 % interval."""

    difference: float
    low: float
    high: float
    p_value: float | None


@dataclass(frozen=True)
class LossDifferences:
    """Whose probabilities of the rivals' fit the test labels better, by two losses."""

    nll: LossDifference
    brier: LossDifference
