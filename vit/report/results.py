"""What a report tells, typed: everything that results.json holds, in the order in which it stands there.

Rows are built by the modules of their topic. They become plain values where results.json is written, and nowhere else;
`from_plain` reads such a file back.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from pydantic import TypeAdapter

from ..pretrained.start import Start
from .statistics import Estimate, Interval, Needed

Family = Literal["vit", "cnn"]
Outcome = Literal["better_by_more", "better", "better_by_less", "as_good", "not_known", "not_tested"]


@dataclass(frozen=True)
class OfModel:
    """A row about one model, by its name."""

    model: str


@dataclass(frozen=True)
class OfPair:
    """A row about two models, by their names."""

    a: str
    b: str


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

    Medians of rounds have their slowest and fastest round beside them, `_low` and `_high`.
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


@dataclass(frozen=True)
class FirstSeeds:
    """On how many test images only one of two models' first seeds is right."""

    seed_a: int
    seed_b: int
    only_a: int
    only_b: int


@dataclass(frozen=True)
class PairAgreement(OfPair):
    """How often two models give the same answer, and err on the same images."""

    same_prediction: float
    kappa: float
    first_seeds: FirstSeeds


@dataclass(frozen=True)
class Answer:
    """The class that a model's seeds together say, and how sure they are."""

    prediction: int
    confidence: float


@dataclass(frozen=True)
class GalleryImage:
    """A test image, its class, and what both rivals say of it."""

    id: str
    label: int
    a: Answer
    b: Answer


@dataclass(frozen=True)
class Galleries:
    """Test images that only one of the rivals knows, and those that neither does."""

    only_a: list[GalleryImage]
    only_b: list[GalleryImage]
    neither: list[GalleryImage]


@dataclass(frozen=True)
class Agreement:
    """Whether models err on the same images; `between_seeds` is the kappa of each one's seeds, None of a single one."""

    pairs: list[PairAgreement]
    between_seeds: dict[str, float | None]
    galleries: Galleries | None


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
class FairnessRow:
    """What every model was given of one thing, a number or words; `ratio` is the largest over the smallest number."""

    key: str
    values: dict[str, Any]
    ratio: float | None
    matched: bool


@dataclass(frozen=True)
class SettingDifference:
    """A setting that differs, by dotted key: its value in every model's recipe."""

    key: str
    values: dict[str, Any]


@dataclass(frozen=True)
class FairnessTable:
    """What every model was given, matched or not, and the settings that are equal and that differ."""

    rows: list[FairnessRow]
    differences: list[SettingDifference]
    matched: dict[str, Any]
    only_models_differ: bool

    def row(self, key: str) -> FairnessRow:
        return next(row for row in self.rows if row.key == key)


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


@dataclass(frozen=True)
class Curve(OfModel):
    """The metrics of one training, by name: a value an epoch."""

    seed: int
    columns: dict[str, list[float]]


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

    `margin` is the difference of accuracy that matters; `resampled` says that every seed drew its training images anew.
    """

    protocol: str
    search: Search | None
    margin: float
    quick: bool
    resampled: bool


@dataclass(frozen=True)
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
    [true, predicted] are sums over the seeds, recalls `per_class` their means.
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


def to_plain(results: Results) -> dict[str, Any]:
    """Return what results.json holds; the columns of a curve stand beside its model and seed there."""
    curves = [{"model": curve.model, "seed": curve.seed} | curve.columns for curve in results.curves]
    return asdict(results) | {"curves": curves}


def from_plain(values: Mapping[str, Any]) -> Results:
    """Return the results of a results.json; raises pydantic.ValidationError for values of another form."""
    curves = [_curve(**row) for row in values["curves"]]
    return TypeAdapter(Results).validate_python({**values, "curves": curves})


def _curve(model: str, seed: int, **columns: list[float]) -> Curve:
    return Curve(model, seed, columns)
