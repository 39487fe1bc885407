"""What rows have in common: the models that they are about."""

from dataclasses import dataclass
from typing import Literal

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
