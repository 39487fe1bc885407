"""Whether a model's confidences can be trusted: against its accuracy, after one temperature, and to leave images out.

N images, C classes: logits [N, C], labels [N]. Confidence is the probability of the predicted class.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from .runs import Group, Run

BINS = 15  # as in Guo et al. 2017
COOLEST, HOTTEST = 0.01, 100.0  # temperatures
COVERAGES = np.linspace(0.025, 1.0, 40)


@dataclass(frozen=True)
class Bin:
    """Images of similar confidence: how many, and their mean confidence and accuracy."""

    images: int
    confidence: float
    accuracy: float


def nll(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean negative log-likelihood, in nats."""
    return float(-log_softmax(logits, axis=1)[np.arange(len(labels)), labels].mean())


def brier(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean squared distance of the probabilities from the one-hot label, in [0, 2] (Brier 1950)."""
    probabilities = softmax(logits, axis=1)
    of_label = probabilities[np.arange(len(labels)), labels]
    return float(((probabilities**2).sum(1) - 2 * of_label + 1).mean())


def equal_width_bins(confidence: np.ndarray, correct: np.ndarray, bins: int = BINS) -> list[Bin]:
    """Return the bins, each as wide in confidence, that hold any image (Guo et al. 2017, arXiv:1706.04599)."""
    return _bins(confidence, correct, np.minimum((confidence * bins).astype(int), bins - 1))


def equal_mass_bins(confidence: np.ndarray, correct: np.ndarray, bins: int = BINS) -> list[Bin]:
    """Return bins of as many images each (Nixon et al. 2019, arXiv:1904.01685)."""
    rank = np.argsort(np.argsort(confidence, kind="stable"), kind="stable")
    return _bins(confidence, correct, rank * bins // len(confidence))


def calibration_error(bins: list[Bin]) -> float:
    """Return the mean distance of confidence and accuracy over the images' bins."""
    images = sum(each.images for each in bins)
    return sum(each.images * abs(each.accuracy - each.confidence) for each in bins) / images


def confidences(logits: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the confidence [N] of every prediction, and whether it is right [N]."""
    return softmax(logits, axis=1).max(1), logits.argmax(1) == labels


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the number that logits are best divided by, for the likelihood of the labels (Guo et al. 2017)."""
    loss = lambda log: nll(logits / np.exp(log), labels)  # noqa: E731
    found = minimize_scalar(loss, bounds=(np.log(COOLEST), np.log(HOTTEST)), method="bounded")
    return float(np.exp(found.x))


def risk_at(confidence: np.ndarray, correct: np.ndarray, coverages: np.ndarray) -> np.ndarray:
    """Return the share of errors among the most confident images, for every share of images that are answered."""
    errors = np.cumsum(~correct[np.argsort(-confidence, kind="stable")])
    answered = np.maximum(1, np.round(coverages * len(correct)).astype(int))
    return errors[answered - 1] / answered


def area_under_risk(confidence: np.ndarray, correct: np.ndarray) -> float:
    """Return the mean share of errors over all coverages (Geifman and El-Yaniv 2017, arXiv:1705.08500)."""
    return float(risk_at(confidence, correct, np.arange(1, len(correct) + 1) / len(correct)).mean())


@dataclass(frozen=True)
class Answers:
    """What the report tells of one run's probabilities, and what it is drawn from."""

    scores: dict[str, float]
    confidence: np.ndarray
    correct: np.ndarray

    @classmethod
    def of(cls, logits: np.ndarray, labels: np.ndarray) -> "Answers":
        confidence, correct = confidences(logits, labels)
        scores = {
            "ece": calibration_error(equal_width_bins(confidence, correct)),
            "ece_equal_mass": calibration_error(equal_mass_bins(confidence, correct)),
            "nll": nll(logits, labels),
            "brier": brier(logits, labels),
            "area_under_risk": area_under_risk(confidence, correct),
        }
        return cls(scores, confidence, correct)


def of_models(full: dict[str, Group]) -> list[dict[str, Any]]:
    """Return a row a model: means of its seeds as they are and, where validation was kept, after its temperature."""
    return [{"model": name} | _of_seeds(group) for name, group in full.items()]


def _of_seeds(group: Group) -> dict[str, Any]:
    before = [Answers.of(run.logits.astype(np.float64), run.labels) for run in group]
    risks = np.mean([risk_at(seed.confidence, seed.correct, COVERAGES) for seed in before], axis=0)
    row: dict[str, Any] = _pooled(before)
    row["risk_coverage"] = {"coverage": COVERAGES.tolist(), "risk": risks.tolist()}
    temperatures = [_temperature(run) for run in group]
    known = [t for t in temperatures if t is not None]
    if len(known) < len(group):
        return row | {"temperature": None, "scaled": None}
    after = [Answers.of(run.logits / t, run.labels) for run, t in zip(group, known, strict=True)]
    return row | {"temperature": float(np.mean(known)), "scaled": _pooled(after)}


def _temperature(run: Run) -> float | None:
    """Return a run's temperature; without any error on validation the best one would be 0, which is no answer."""
    if run.validation is None or (run.validation[0].argmax(1) == run.validation[1]).all():
        return None
    logits, labels = run.validation
    return fit_temperature(logits.astype(np.float64), labels)


def _pooled(seeds: list[Answers]) -> dict[str, Any]:
    """Return the means of the seeds' scores, and the equal-width bins of all their answers together."""
    confidence, correct = (np.concatenate([getattr(s, name) for s in seeds]) for name in ("confidence", "correct"))
    means = {key: float(np.mean([seed.scores[key] for seed in seeds])) for key in seeds[0].scores}
    return means | {"reliability": [asdict(each) for each in equal_width_bins(confidence, correct)]}


def _bins(confidence: np.ndarray, correct: np.ndarray, which: np.ndarray) -> list[Bin]:
    return [
        Bin(int(inside.sum()), float(confidence[inside].mean()), float(correct[inside].mean()))
        for inside in (which == number for number in np.unique(which))
    ]
