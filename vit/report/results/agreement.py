"""Whether models err on the same images."""

from dataclasses import dataclass

from .rows import OfPair


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
