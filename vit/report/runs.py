"""One finished training as the report needs it, and what several of them have in common."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from .answers import Answers, Logits
from .results import Skipped
from .run_files import MeanScore, Probes, Scores, Summary


@dataclass(frozen=True)
class Run:
    """What a training was given, and what came of it; `validation` and `probes` are None where nobody looked."""

    model: str
    fraction: float
    seed: int
    recipe: dict[str, Any]
    summary: Summary
    scores: Scores
    ids: np.ndarray
    labels: np.ndarray
    logits: Logits
    curve: dict[str, list[float]]
    machine: str
    skipped: list[Skipped]
    images: np.ndarray | None = None  # digests of the test images' content, where they were kept
    validation: tuple[Logits, np.ndarray] | None = None  # logits and labels
    probes: Probes | None = None
    folds: int | None = None  # by which its images were tested, each by a training of its own; None: by one

    @cached_property
    def answers(self) -> Answers:
        return Answers.of(self.logits, self.labels)

    def correct(self) -> np.ndarray:
        return self.answers.correct.astype(float)


Group = list[Run]  # the seeds of one model on one fraction of the data


def correct_of(group: Group) -> np.ndarray:
    """Return whether each seed is right on each test image: [S, N]."""
    return np.stack([run.correct() for run in group])


def images_of(group: Group) -> int:
    """Return how many images each seed learned from."""
    return group[0].summary["training_images"]


def folds_of(group: Group) -> int:
    """Return by how many folds the images of a group were tested; 0 for one test split."""
    return group[0].folds or 0


def probed(full: dict[str, Group]) -> dict[str, list[Probes]]:
    """Return what was found in the seeds of every model of which all seeds were looked at."""
    looks = {name: [run.probes for run in group] for name, group in full.items()}
    return {name: [look for look in found if look] for name, found in looks.items() if all(found)}


def mean_score(group: Group, key: MeanScore) -> float:
    return float(np.mean([run.scores[key] for run in group]))
