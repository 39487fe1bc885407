"""What a report tells, typed: everything that results.json holds, in the order in which it stands there.

Rows are built by the modules of their topic. They become plain values where results.json is written, and nowhere else;
`from_plain` reads such a file back.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from pydantic import TypeAdapter

from ..statistics import Estimate
from .accuracy import Accuracy, FractionRow, ModelRow, Pair, Selection, TimedOn
from .agreement import Agreement, Answer, FirstSeeds, Galleries, GalleryImage, PairAgreement
from .calibration import (
    Bin,
    CalibrationRow,
    ErrorIfCalibrated,
    LossDifference,
    LossDifferences,
    ProbabilityScores,
    RiskCoverage,
    ScoreIntervals,
)
from .changed_images import Corruption, InsideRow, Occlusion, ReceptiveField, Resolution, RobustnessRow, Shift
from .data import Audit, DataSet, Skipped, Unaudited
from .efficiency import (
    BackTest,
    Crossing,
    Curve,
    CurveFit,
    CurveFits,
    Gain,
    RivalsCrossing,
    TimeToAccuracy,
    TimeToLevel,
)
from .explanations import ExplanationRow
from .fairness import FairnessRow, FairnessTable, SettingDifference
from .recommendation import Aim, FewLabels, Ground, Pace, Ratio, Recommendation
from .rows import Family, OfModel, OfPair, Outcome
from .training import Hashes, Search, StudyDesign, TrainingFacts, Trainings, Trial

__all__ = [
    "Accuracy",
    "Agreement",
    "Aim",
    "Answer",
    "Audit",
    "BackTest",
    "Bin",
    "CalibrationRow",
    "Corruption",
    "Crossing",
    "Curve",
    "CurveFit",
    "CurveFits",
    "DataSet",
    "Environment",
    "ErrorIfCalibrated",
    "Estimate",
    "ExplanationRow",
    "FairnessRow",
    "FairnessTable",
    "Family",
    "FewLabels",
    "FirstSeeds",
    "FractionRow",
    "Gain",
    "Galleries",
    "GalleryImage",
    "Ground",
    "Hashes",
    "InsideRow",
    "LossDifference",
    "LossDifferences",
    "ModelRow",
    "Occlusion",
    "OfModel",
    "OfPair",
    "Outcome",
    "Pace",
    "Pair",
    "PairAgreement",
    "ProbabilityScores",
    "Ratio",
    "ReceptiveField",
    "Recommendation",
    "Resolution",
    "Results",
    "RiskCoverage",
    "RivalsCrossing",
    "RobustnessRow",
    "ScoreIntervals",
    "Search",
    "Selection",
    "SettingDifference",
    "Shift",
    "Skipped",
    "StudyDesign",
    "TimeToAccuracy",
    "TimeToLevel",
    "TimedOn",
    "TrainingFacts",
    "Trainings",
    "Trial",
    "Unaudited",
    "from_plain",
    "to_plain",
]


@dataclass(frozen=True)
class Environment:
    """What a number must be read with: hardware, versions, date, command."""

    date: str
    command: str
    processor: str
    cores: int
    gpus: list[str]
    system: str
    python: str
    versions: dict[str, str]


@dataclass(frozen=True)
class Results:
    """Everything that a report tells.

    `rivals` are the two models that the verdict is about, None where there is but one model. Confusion counts
    [true, predicted] are sums over the seeds, recalls `per_class` their means. The last three are missing
    from files that were kept before they were told.
    """

    models: list[ModelRow]
    rivals: tuple[str, str] | None
    margin: float
    selection: list[Selection]
    pairs: list[Pair]
    data_efficiency: list[FractionRow]
    agreement: Agreement
    curve_fits: CurveFits | None
    calibration: list[CalibrationRow]
    likelihood: LossDifferences | None
    robustness: list[RobustnessRow]
    under_damage: Pair | None
    inside: list[InsideRow]
    time_to_accuracy: TimeToAccuracy
    ledger: FairnessTable
    data: DataSet
    confusion: dict[str, list[list[int]]]
    per_class: dict[str, list[float]]
    curves: list[Curve]
    training: TrainingFacts
    title: str
    environment: Environment
    few_labels: FewLabels | None = None
    recommendations: list[Recommendation] = field(default_factory=list)
    explanations: list[ExplanationRow] = field(default_factory=list)


def to_plain(results: Results) -> dict[str, Any]:
    """Return what results.json holds; the columns of a curve stand beside its model and seed there."""
    curves = [{"model": curve.model, "seed": curve.seed} | curve.columns for curve in results.curves]
    rest = asdict(replace(results, curves=[], confusion={}))  # it copies value by value: a million for 1,000 classes
    return rest | {"curves": curves, "confusion": results.confusion}


def from_plain(values: Mapping[str, Any]) -> Results:
    """Return the results of a results.json; raises pydantic.ValidationError for values of another form."""
    curves = [_curve(**row) for row in values["curves"]]
    return TypeAdapter(Results).validate_python({**values, "curves": curves})


def _curve(model: str, seed: int, **columns: list[float]) -> Curve:
    return Curve(model, seed, columns)
