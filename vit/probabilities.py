"""From logits to probabilities, for prediction, evaluation and reports alike.

N images, C classes: logits [N, C]. NumPy alone, since a prediction waits for nothing else.
"""

from typing import Literal

import numpy as np

# What a model's logits mean. softmax: an image has one class, and its probabilities sum to 1; sigmoid: it may have
# several labels, each with a probability of its own.
Output = Literal["softmax", "sigmoid"]


def probabilities(logits: np.ndarray, output: Output) -> np.ndarray:
    """Return the probability of every class: [N, C]."""
    if output == "sigmoid":
        return np.exp(log_probabilities(logits, output))
    odds = np.exp(logits - logits.max(1, keepdims=True))
    return odds / odds.sum(1, keepdims=True)


def log_probabilities(logits: np.ndarray, output: Output) -> np.ndarray:
    """Return the logarithm of the probability of every class, in nats: [N, C]."""
    if output == "sigmoid":
        return -np.logaddexp(0, -logits)
    apart = logits - logits.max(1, keepdims=True)
    return apart - np.log(np.exp(apart).sum(1, keepdims=True))


def probabilities_and_logarithms(logits: np.ndarray, output: Output) -> tuple[np.ndarray, np.ndarray]:
    """Return what both of the others do, bit by bit, with one exponential: [N, C] each."""
    if output == "sigmoid":
        logarithms = log_probabilities(logits, output)
        return np.exp(logarithms), logarithms
    apart = logits - logits.max(1, keepdims=True)
    odds = np.exp(apart)
    sums = odds.sum(1, keepdims=True)
    return odds / sums, apart - np.log(sums)
