"""What a model answers to each image: a few numbers, drawn from its logits some images at a time.

N images, C classes: logits [N, C], labels [N]. Logits of many images and classes are not held in memory: they may lie
in a file, and no more of them than a block's are double precision at once. Blocks change no number.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ..probabilities import Output, log_probabilities, probabilities, probabilities_and_logarithms

NUMBERS_AT_ONCE = 2**17  # 1 MB in double precision, which stays in a processor's cache


class Logits(Protocol):
    """Logits [N, C], in memory or in a file; `logits[rows]` are those of some images, as an array."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, rows: Any, /) -> np.ndarray: ...


@dataclass(frozen=True)
class Rearranged:
    """Logits whose images and classes stand in another order: `rows` [N] and `columns` [C] are their places."""

    logits: Logits
    rows: np.ndarray
    columns: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        return len(self.rows), len(self.columns)

    def __getitem__(self, rows: Any, /) -> np.ndarray:
        return self.logits[self.rows[rows]][:, self.columns]


@dataclass(frozen=True)
class Answers:
    """The class that each image is given, how sure the model is, whether it is right, and its losses: [N] each."""

    prediction: np.ndarray
    confidence: np.ndarray
    correct: np.ndarray
    nll: np.ndarray
    brier: np.ndarray

    @classmethod
    def of(cls, logits: Logits, labels: np.ndarray, output: Output = "softmax", temperature: float = 1.0) -> "Answers":
        """Return the answers of logits that are divided by a temperature, in the precision in which they are kept."""
        parts = [
            _answers((logits[rows] / temperature).astype(np.float64), labels[rows], output) for rows in places(logits)
        ]
        prediction, confidence, nll, brier = (np.concatenate(part) for part in zip(*parts, strict=True))
        return cls(prediction, confidence, prediction == labels, nll, brier)


def places(logits: Logits) -> Iterator[slice]:
    """Yield the places of blocks of images, in their order."""
    images, classes = logits.shape
    step = max(1, NUMBERS_AT_ONCE // classes)
    return (slice(first, min(first + step, images)) for first in range(0, images, step))


def blocks(logits: Logits) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield the places of blocks of images, in their order, and their logits in double precision."""
    return ((rows, logits[rows].astype(np.float64)) for rows in places(logits))


def nll_of_images(
    logits: Logits, labels: np.ndarray, output: Output = "softmax", temperature: float = 1.0
) -> np.ndarray:
    """Return the negative log-likelihood of each label, in nats: [N]."""
    return np.concatenate(
        [
            -log_probabilities(block / temperature, output)[np.arange(len(block)), labels[rows]]
            for rows, block in blocks(logits)
        ]
    )


def mean_probabilities(runs: list[Logits]) -> Iterator[np.ndarray]:
    """Yield, for blocks of images, the mean of what several models give to each class: [block, C]."""
    for blocks_of_runs in zip(*map(blocks, runs), strict=True):
        yield np.mean([probabilities(block, "softmax") for _, block in blocks_of_runs], axis=0)


def _answers(block: np.ndarray, labels: np.ndarray, output: Output) -> tuple[np.ndarray, ...]:
    given, logarithms = probabilities_and_logarithms(block, output)
    own = np.arange(len(block)), labels
    brier = (given**2).sum(1) - 2 * given[own] + 1
    return block.argmax(1), given.max(1), -logarithms[own], brier
