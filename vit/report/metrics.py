"""What logits and labels say: accuracy, its interval, calibration and confusion, as pure functions of arrays.

N images, C classes. Logits [N, C], labels [N], probabilities [N, C].
"""

from typing import Any

import numpy as np

from ..errors import UserError
from ..probabilities import Output
from .answers import Answers, Logits, blocks, places
from .calibration import calibration_error, equal_width_bins
from .statistics import score_interval

Z = 1.959963984540054  # of a two-sided 95 % interval


def scores(logits: Logits, labels: np.ndarray, classes: list[str], output: Output = "softmax") -> dict[str, Any]:
    """Return everything that evaluation/<split>.json holds.

    Labels are class numbers [N], or multi-hot [N, C] where an image may have several. Raises UserError for logits that
    are not finite, and for several labels an image of a model whose `output` knows one class alone.
    """
    check_finite(logits)
    if labels.ndim == 1:
        return class_scores(logits, labels, classes, output)
    if output == "softmax":
        raise UserError("these images may have several labels each, and the model gives every image one class")
    return label_scores(logits[:].astype(np.float64), labels, classes)


def check_finite(logits: Logits) -> None:
    wrong = sum(int((~np.isfinite(logits[rows])).any(1).sum()) for rows in places(logits))
    if wrong:
        raise UserError(
            f"the model's outputs are not finite (nan or infinite) on {wrong:,} of {logits.shape[0]:,} images: "
            "its training diverged; a lower optimizer.lr, or training.clip_norm=1.0, usually helps"
        )


def class_scores(logits: Logits, labels: np.ndarray, classes: list[str], output: Output) -> dict[str, Any]:
    """Return the scores of images that have one label."""
    answers = Answers.of(logits, labels, output)
    table = confusion(answers.prediction, labels, len(classes))
    correct = answers.correct
    low, high = wilson_interval(int(correct.sum()), len(labels))
    rows = per_class(table)
    present = [row for row in rows if row["images"]]
    return {
        "num_images": len(labels),
        "top1": float(correct.mean()),
        "top5": top_k(logits, labels, 5),
        "nll": float(answers.nll.mean()),
        "brier": float(answers.brier.mean()),
        "ece": calibration_error(equal_width_bins(answers.confidence, correct)),
        "balanced_accuracy": float(np.mean([row["recall"] for row in present])),
        "macro_f1": float(np.mean([row["f1"] for row in present])),
        "top1_low": low,
        "top1_high": high,
        "per_class": [{"class": name, **row} for name, row in zip(classes, rows, strict=True)],
        "confusion": table.tolist(),
    }


def label_scores(logits: np.ndarray, labels: np.ndarray, classes: list[str]) -> dict[str, Any]:
    """Return the scores of images that have several labels, each said to be there above 1/2.

    Means over classes leave out those that no image has.
    """
    there, said = labels.astype(bool), logits > 0
    exact = (there == said).all(1)
    low, high = wilson_interval(int(exact.sum()), len(labels))
    rows = [label_row(logits[:, c], there[:, c], said[:, c]) for c in range(len(classes))]
    present = [row for row in rows if row["images"]]
    hits = int((there & said).sum())
    return {
        "num_images": len(labels),
        "mean_average_precision": float(np.mean([row["average_precision"] for row in present])),
        "micro_f1": 2 * hits / max(int(there.sum() + said.sum()), 1),
        "macro_f1": float(np.mean([row["f1"] for row in present])),
        "exact_match": float(exact.mean()),
        "exact_match_low": low,
        "exact_match_high": high,
        "nll": float(np.mean(np.logaddexp(0, logits) - logits * there)),
        "per_class": [{"class": name, **row} for name, row in zip(classes, rows, strict=True)],
    }


def label_row(logits: np.ndarray, there: np.ndarray, said: np.ndarray) -> dict[str, Any]:
    """Return the scores of one label: its images, average precision (None without any), precision, recall, F1."""
    images, claimed, hits = int(there.sum()), int(said.sum()), int((there & said).sum())
    return {
        "images": images,
        "average_precision": average_precision(logits, there) if images else None,
        "precision": hits / max(claimed, 1),
        "recall": hits / max(images, 1),
        "f1": 2 * hits / max(images + claimed, 1),
    }


def average_precision(logits: np.ndarray, there: np.ndarray) -> float:
    """Return the mean, over the images that have the label, of the precision at their rank; equal logits share one."""
    values, first = np.unique(-logits, return_inverse=True)
    claimed = np.cumsum(np.bincount(first, minlength=len(values)))
    hits = np.cumsum(np.bincount(first, weights=there, minlength=len(values)))
    return float((hits / claimed)[first[there]].mean())


def top_k(logits: Logits, labels: np.ndarray, k: int) -> float:
    """Return the share of images whose label is among the k largest logits (all of them where C <= k)."""
    k = min(k, logits.shape[1])
    hits = [
        (np.argpartition(-block, k - 1, axis=1)[:, :k] == labels[rows, None]).any(1) for rows, block in blocks(logits)
    ]
    return float(np.concatenate(hits).mean())


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
