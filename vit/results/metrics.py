"""What logits and labels say: accuracy, its interval, calibration and confusion, as pure functions of arrays.

N images, C classes. Logits [N, C], labels [N], probabilities [N, C].
"""

from typing import Any

import numpy as np
from scipy.special import log_softmax, softmax

from ..errors import UserError
from .statistics import score_interval

Z = 1.959963984540054  # of a two-sided 95 % interval
CALIBRATION_BINS = 15  # as in Guo et al. 2017


def scores(logits: np.ndarray, labels: np.ndarray, classes: list[str]) -> dict[str, Any]:
    """Return everything that evaluation/<split>.json holds; raises UserError for logits that are not finite."""
    logits = logits.astype(np.float64)
    wrong = int((~np.isfinite(logits)).any(1).sum())
    if wrong:
        raise UserError(
            f"the model's outputs are not finite (nan or infinite) on {wrong:,} of {len(labels):,} images: "
            "its training diverged; a lower optimizer.lr, or training.clip_norm=1.0, usually helps"
        )
    predictions = logits.argmax(1)
    table = confusion(predictions, labels, len(classes))
    correct = predictions == labels
    low, high = wilson_interval(int(correct.sum()), len(labels))
    rows = per_class(table)
    present = [row for row in rows if row["images"]]
    return {
        "num_images": len(labels),
        "top1": float(correct.mean()),
        "top5": top_k(logits, labels, 5),
        "nll": nll(logits, labels),
        "brier": brier(logits, labels),
        "ece": expected_calibration_error(logits, labels),
        "balanced_accuracy": float(np.mean([row["recall"] for row in present])),
        "macro_f1": float(np.mean([row["f1"] for row in present])),
        "top1_low": low,
        "top1_high": high,
        "per_class": [{"class": name, **row} for name, row in zip(classes, rows, strict=True)],
        "confusion": table.tolist(),
    }


def top_k(logits: np.ndarray, labels: np.ndarray, k: int) -> float:
    """Return the share of images whose label is among the k largest logits (all of them where C <= k)."""
    k = min(k, logits.shape[1])
    best = np.argpartition(-logits, k - 1, axis=1)[:, :k]
    return float((best == labels[:, None]).any(1).mean())


def nll(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean negative log-likelihood, in nats."""
    return float(-log_softmax(logits, axis=1)[np.arange(len(labels)), labels].mean())


def brier(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean squared distance of the probabilities from the one-hot label, in [0, 2] (Brier 1950)."""
    return float(((softmax(logits, axis=1) - np.eye(logits.shape[1])[labels]) ** 2).sum(1).mean())


def expected_calibration_error(logits: np.ndarray, labels: np.ndarray, bins: int = CALIBRATION_BINS) -> float:
    """Return the mean gap of confidence and accuracy over equal-width bins (Guo et al. 2017, arXiv:1706.04599)."""
    probabilities = softmax(logits, axis=1)
    confidence = probabilities.max(1)
    correct = probabilities.argmax(1) == labels
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = np.bincount(which, weights=correct - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(labels))


def confusion(predictions: np.ndarray, labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Return counts [C, C]: row the true class, column the predicted one."""
    return np.bincount(labels * num_classes + predictions, minlength=num_classes**2).reshape(num_classes, num_classes)


def per_class(table: np.ndarray) -> list[dict[str, Any]]:
    """Return images, precision, recall and F1 of every class; 0 where nothing was predicted or present."""
    hits = np.diag(table)
    present, predicted = table.sum(1), table.sum(0)
    return [
        {
            "images": int(present[i]),
            "precision": float(hits[i] / max(predicted[i], 1)),
            "recall": float(hits[i] / max(present[i], 1)),
            "f1": float(2 * hits[i] / max(present[i] + predicted[i], 1)),
        }
        for i in range(len(table))
    ]


def wilson_interval(successes: int, trials: int) -> tuple[float, float]:
    """Return the 95 % score interval of a proportion (Wilson 1927)."""
    return score_interval(successes / trials, trials, Z)
