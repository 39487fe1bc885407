"""What the report reads of the files that a run and its comparison keep, by their keys; a file may hold more."""

from typing import Any, Literal, NotRequired, TypedDict

from ..pretrained.start import Start
from .results import Family

MeanScore = Literal["balanced_accuracy", "macro_f1", "ece", "nll"]
ClassScores = TypedDict("ClassScores", {"class": str, "recall": float})


class Summary(TypedDict):
    """What the report reads of summary.json."""

    model: str
    parameters: int
    macs: int
    epochs: int
    seconds: float
    images_seen: int
    training_images: int
    validation_images: int
    validation_top1: float
    peak_memory_bytes: int | None
    precision: str
    threads: int
    start: NotRequired[Start | None]


class Scores(TypedDict):
    """What the report reads of evaluation/test.json."""

    balanced_accuracy: float
    macro_f1: float
    ece: float
    nll: float
    per_class: list[ClassScores]
    confusion: list[list[int]]


class CorruptionAnswers(TypedDict):
    """A model's accuracy under one corruption, by severity."""

    name: str
    kind: str
    top1: list[float]


class ChangedImages(TypedDict):
    """What one model answers to changed images.

    `right` is 1 for images known unchanged, `right_corrupted` in how many corruptions they are known. The last three
    hold a strength and a share each.
    """

    images: int
    clean: float
    right: list[int]
    right_corrupted: list[int]
    corruptions: list[CorruptionAnswers]
    occlusion: list[dict[str, float]]
    shift: list[dict[str, float]]
    resolution: list[dict[str, float]]


class FieldSeen(TypedDict):
    """The effective receptive field of a model."""

    map: list[list[float]]
    area: float


class SeenInside(TypedDict):
    """What was seen inside of one model; None where it has no such thing."""

    receptive_field: FieldSeen | None
    attention_distance: list[list[float]] | None
    position_similarity: list[list[list[list[float]]]] | None


class Explained(TypedDict):
    """What one method's explanations of a model are worth; a gain an image, where its map is not flat."""

    method: str
    answers: str
    deletion: list[float]
    insertion: list[float]
    likeness: float | None
    protocol: str


class Probes(TypedDict):
    """What evaluation/probes.json holds; `of` tells of which model and images."""

    of: dict[str, Any]
    robustness: ChangedImages
    inside: SeenInside
    explained: NotRequired[list[Explained]]  # not in files that were kept before it was there


class Cost(TypedDict):
    """What costs/<model>.json holds: the medians of rounds, with the slowest and the fastest of them."""

    family: Family
    model_digest: str
    model_bytes: int
    train_precision: NotRequired[str]  # not in costs that were measured before it was there
    latency_ms: float
    latency_ms_low: float
    latency_ms_high: float
    images_per_second: float
    images_per_second_low: float
    images_per_second_high: float
    train_images_per_second: float
    train_images_per_second_low: float
    train_images_per_second_high: float
    batch_size: int
    train_batch_size: int
    threads: int
    device: str
