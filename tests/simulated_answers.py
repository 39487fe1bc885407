"""Models whose truth is known: which images they get right, when images, models and trainings have their luck.

The logit of a right answer is the model's skill, less the image's difficulty (shared by all models), plus what the
model alone makes of the image, plus the luck of the training; the answer is then drawn. Deviations of difficulty and of
a model's own view are such that seeds of one model agree on errors by a kappa of 0.6 and models by 0.4, as real ones.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit

DIFFICULTY, OWN_VIEW = 2.6, 1.6  # deviations in logits
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(80)
WEIGHTS = WEIGHTS / WEIGHTS.sum()


@dataclass(frozen=True)
class Model:
    """A model by its mean accuracy over images and seeds, and the deviation of accuracy between seeds, in [0, 1]."""

    accuracy: float
    seed_deviation: float = 0.0

    @cache  # noqa: B019, there are few
    def skill_and_luck(self) -> tuple[float, float]:
        """Return the mean logit and the deviation of logits between seeds that give this accuracy and deviation."""
        luck = 0.0
        for _ in range(20):  # each is solved with the other as it is, until neither moves
            skill = _solved(_accuracy, self.accuracy, -20, 30, luck)
            luck = _solved(_deviation, self.seed_deviation, 0, 12, skill) if self.seed_deviation else 0.0
        return skill, luck


def answers(
    models: list[Model], seeds: list[int], images: int, generator: np.random.Generator, own_view: float = OWN_VIEW
) -> list[np.ndarray]:
    """Return whether each seed of each model is right on each image, [S, N] of 0 and 1; images are the same for all."""
    difficulty = generator.normal(0, DIFFICULTY, images)
    drawn = []
    for model, count in zip(models, seeds, strict=True):
        skill, luck = model.skill_and_luck()
        logits = skill - difficulty + generator.normal(0, own_view, images) + generator.normal(0, luck, (count, 1))
        drawn.append((generator.random((count, images)) < expit(logits)).astype(float))
    return drawn


def _solved(of: Callable[[float, float], float], wanted: float, low: float, high: float, other: float) -> float:
    return float(brentq(lambda value: of(value, other) - wanted, low, high))  # type: ignore[arg-type]


def _accuracy(skill: float, luck: float) -> float:
    width = np.sqrt(DIFFICULTY**2 + OWN_VIEW**2 + luck**2)
    return float((WEIGHTS * expit(skill + width * NODES)).sum())


def _deviation(luck: float, skill: float) -> float:
    by_seed = np.array([_accuracy(skill + luck * node, 0.0) for node in NODES])
    mean = (WEIGHTS * by_seed).sum()
    return float(np.sqrt((WEIGHTS * (by_seed - mean) ** 2).sum()))
