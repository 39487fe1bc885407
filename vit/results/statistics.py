"""What can be said of a difference: intervals over seeds and images, paired tests, and their correction.

S seeds, N test images. `correct` [S, N] holds 1 where a training of that seed was right on that image.
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95 % interval, and the deviation between seeds (None for a single seed)."""

    mean: float
    low: float
    high: float
    std: float | None


@dataclass(frozen=True)
class PairedTest:
    """The difference a - b of two accuracies on the same images, its 95 % interval and two-sided p-value."""

    difference: float
    low: float
    high: float
    p_value: float


def accuracy(correct: np.ndarray) -> Estimate:
    """Estimate the accuracy of a model, over the drawing of test images and of seeds.

    Variance of the mean: between images, of their mean over seeds, by N; plus between seeds, by S. A t quantile with
    Satterthwaite's degrees of freedom. For one seed the second part is unknown and left out.
    """
    mean, variance, freedom = _mean_variance(correct.mean(0), [correct.mean(1)])
    half = _half_width(variance, freedom)
    std = float(correct.mean(1).std(ddof=1)) if len(correct) > 1 else None
    return Estimate(mean, max(0.0, mean - half), min(1.0, mean + half), std)


def paired_test(a: np.ndarray, b: np.ndarray) -> PairedTest:
    """Test whether two models differ in accuracy on the images they both saw.

    The paired t-test on per-image differences of the seeds' means, its variance widened by the variance between
    seeds (Bouthillier et al. 2021, arXiv:2103.03098: a test that ignores it finds differences between reruns).
    """
    if a.shape[1] != b.shape[1]:
        raise ValueError(
            f"models were tested on {a.shape[1]} and {b.shape[1]} images; a paired test needs the same ones"
        )
    difference, variance, freedom = _mean_variance(a.mean(0) - b.mean(0), [a.mean(1), b.mean(1)])
    half = _half_width(variance, freedom)
    if variance == 0:
        p_value = 1.0 if difference == 0 else 0.0
    else:
        p_value = float(2 * stats.t.sf(abs(difference) / np.sqrt(variance), freedom))
    return PairedTest(difference, difference - half, difference + half, p_value)


def holm(p_values: list[float]) -> list[float]:
    """Adjust the p-values of several tests so that the chance of any false finding stays at the level (Holm 1979)."""
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, i in enumerate(np.argsort(p_values, kind="stable")):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = largest
    return adjusted


def _mean_variance(by_image: np.ndarray, by_seed: list[np.ndarray]) -> tuple[float, float, float]:
    """Return a mean, the variance of that mean, and Satterthwaite's degrees of freedom."""
    parts = [(by_image.var(ddof=1) / len(by_image), len(by_image) - 1)]
    parts += [(seeds.var(ddof=1) / len(seeds), len(seeds) - 1) for seeds in by_seed if len(seeds) > 1]
    variance = sum(part for part, _ in parts)
    weights = sum(part**2 / freedom for part, freedom in parts)
    return float(by_image.mean()), float(variance), float(variance**2 / weights) if weights else np.inf


def _half_width(variance: float, freedom: float) -> float:
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom) * np.sqrt(variance))
