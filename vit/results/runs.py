"""One finished training as the report needs it, and what several of them have in common."""

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Run:
    """What a training was given, and what came of it; `validation` and `probes` are None where nobody looked."""

    model: str
    fraction: float
    seed: int
    recipe: dict[str, Any]
    summary: dict[str, Any]
    scores: dict[str, Any]
    ids: np.ndarray
    labels: np.ndarray
    logits: np.ndarray
    curve: dict[str, list[float]]
    machine: str
    skipped: list[dict[str, str]]  # path and reason of files that were left out
    validation: tuple[np.ndarray, np.ndarray] | None = None  # logits and labels
    probes: dict[str, Any] | None = None

    def correct(self) -> np.ndarray:
        return (self.logits.argmax(1) == self.labels).astype(float)


Group = list[Run]  # the seeds of one model on one fraction of the data


def mean_score(group: Group, key: str) -> float:
    return float(np.mean([run.scores[key] for run in group]))
