"""What can be said of a mean and of a difference: intervals over seeds and images, and paired tests.

S seeds, N test images. `correct` [S, N] holds 1 where a training of that seed was right on that image.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special, stats

from .spread import FEWEST_DISCORDANT, Spread, spread_of

LEVEL = 0.05  # of every test and, as its complement, of every interval
POWER = 0.8
RESAMPLES = 2_000
FEWEST_SEEDS = 2  # of either model, to tell a difference between models from one between trainings
FIRM_SEEDS = 3  # from which on small levels can be tested
MOST_SEEDS = 50  # that anybody would train
FIRM_FREEDOM = 6.0  # from which on a variance is known well enough to plan by: to a factor of two or so


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95 % interval, and the deviation between seeds (None for a single seed)."""

    mean: float
    low: float
    high: float
    std: float | None


@dataclass(frozen=True)
class Interval:
    """The bounds of an interval."""

    low: float
    high: float

    def is_within(self, margin: float) -> bool:
        return -margin < self.low and self.high < margin


@dataclass(frozen=True)
class PairedTest:
    """The difference a - b of two models' means on the same images, and how it may have come about.

    `seeds` of a and of b. With one seed of either nothing is known of the luck of trainings: its interval is of these
    trainings alone, and no test is made of it.
    """

    difference: float
    spread: Spread
    seeds: tuple[int, int]
    bound: float = np.inf  # of any difference

    @property
    def decides(self) -> bool:
        return min(self.seeds) >= FEWEST_SEEDS

    @property
    def p_value(self) -> float | None:
        return self.spread.p_value(self.difference) if self.decides else None

    def interval(self, level: float = LEVEL) -> Interval:
        """Return the interval of confidence 1 - level."""
        half = self.spread.half_width(level)
        return Interval(max(self.difference - half, -self.bound), min(self.difference + half, self.bound))

    def detectable(self, level: float = LEVEL) -> float | None:
        """Return the true difference that such a test finds four times in five.

        None where the variance is known too badly to say. The median of the variance's distribution lies below its
        mean, and so would half of the answers, if that were not made up for.
        """
        freedom = self.spread.whole_freedom
        if not self.decides or freedom < FIRM_FREEDOM:
            return None
        middle = freedom / (2 * special.gammaincinv(freedom / 2, 0.5)) if freedom < 1e6 else 1.0
        power = stats.t.ppf(POWER, freedom) * self.spread.variance**0.5
        return float((self.spread.half_width(level) + power) * middle**0.5)

    def needed(self, margin: float, level: float = LEVEL) -> "Needed":
        """Return with how many seeds, or images, a true difference of `margin` is found four times in five."""
        fewest = min(self.seeds)
        counts = np.arange(FIRM_SEEDS, MOST_SEEDS + 1)
        images = self.spread.count * 2 ** (np.arange(1, 41) / 4)
        seeds = counts[self._smallest_found(counts, self.spread.count, level) <= margin]
        enough = images[self._smallest_found(fewest, images, level) <= margin] if fewest >= FIRM_SEEDS else images[:0]
        return Needed(int(seeds[0]) if len(seeds) else None, round(enough[0]) if len(enough) else None)

    def _smallest_found(self, seeds: Any, images: Any, level: float) -> np.ndarray:
        """Return the difference found four times in five by so many seeds and images, if they vary as these."""
        spread, more_seeds, more_images = self.spread, seeds / min(self.seeds), images / self.spread.count
        of_images = max(0.0, spread.images - spread.answers) / more_images
        variance = of_images + spread.answers / (more_seeds * more_images) + spread.of_seeds / more_seeds
        freedom = 2 * (seeds - 1)  # of seeds alone, as where they matter
        return (stats.t.isf(level / 2, freedom) + stats.t.ppf(POWER, freedom)) * np.sqrt(variance)


@dataclass(frozen=True)
class Needed:
    """How many seeds of either model, or test images with the seeds there are, would do; None where none would."""

    seeds: int | None
    images: int | None


def accuracy(correct: np.ndarray, folds: int = 0) -> Estimate:
    """Estimate the accuracy of a model, over the drawing of test images and of seeds.

    The score interval (Wilson 1927) of as many independent images as would give the mean its variance, with the
    quantile of its spread. For one seed the part of the seeds is unknown and left out. `folds`, here and below,
    is by how many the images were tested, 0 for one test split.
    """
    mean = float(correct.mean())
    spread = spread_of(correct.mean(0), [correct], folds=folds)
    effective = mean * (1 - mean) / spread.variance if spread.variance > 0 else correct.shape[1]
    quantile = spread.half_width(LEVEL) / spread.variance**0.5 if spread.variance > 0 else stats.norm.isf(LEVEL / 2)
    low, high = score_interval(mean, effective, float(quantile))
    return Estimate(mean, low, high, deviation_between_seeds(correct))


def mean_of(values: np.ndarray, folds: int = 0) -> Estimate:
    """Estimate the mean of any measure of images, values [S, N], over the drawing of test images and of seeds."""
    mean, half = float(values.mean()), spread_of(values.mean(0), [values], folds=folds).half_width(LEVEL)
    return Estimate(mean, mean - half, mean + half, deviation_between_seeds(values))


def deviation_between_seeds(values: np.ndarray) -> float | None:
    return float(values.mean(1).std(ddof=1)) if len(values) > 1 else None


def paired_test(a: np.ndarray, b: np.ndarray, folds: int = 0) -> PairedTest:
    """Test whether two models differ in accuracy, [S, N] each, on the images they both saw.

    The variance of the mean difference comes from crossed random effects of images and of seeds (Bouthillier et al.
    2021, arXiv:2103.03098: a test that ignores seeds finds differences between reruns), and of no fewer images that
    only one of the models is right on than one each way.
    """
    return _paired(a, b, folds, FEWEST_DISCORDANT, bound=1.0)


def paired_difference(a: np.ndarray, b: np.ndarray, folds: int = 0) -> PairedTest:
    """Test whether two models differ in the mean of any measure of images, [S, N] each, such as a likelihood."""
    return _paired(a, b, folds)


def _paired(a: np.ndarray, b: np.ndarray, folds: int, least: float = 0.0, bound: float = np.inf) -> PairedTest:
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"models were tested on {a.shape[1]} and {b.shape[1]} images; a pair needs the same ones")
    by_image = a.mean(0) - b.mean(0)
    return PairedTest(float(by_image.mean()), spread_of(by_image, [a, b], least, folds), (len(a), len(b)), bound)


def percentile_interval(resamples: np.ndarray) -> Interval:
    """Return the bounds between which 95 % of some resamples lie."""
    low, high = np.quantile(resamples, [LEVEL / 2, 1 - LEVEL / 2])
    return Interval(float(low), float(high))


def resampled_images(tables: list[np.ndarray], generator: np.random.Generator) -> list[np.ndarray]:
    """Return the means of tables [S, N] over images drawn again, the same ones for all tables: [R, S] each."""
    together = np.concatenate(tables).T  # [N, all seeds]
    count = len(together)
    draw = lambda: np.bincount(generator.integers(count, size=count), minlength=count)  # noqa: E731
    means = np.stack([draw() @ together / count for _ in range(RESAMPLES)])
    return np.split(means, np.cumsum([len(table) for table in tables])[:-1], axis=1)


def score_interval(share: float, trials: float, quantile: float) -> tuple[float, float]:
    """Return the interval of a proportion (Wilson 1927); it stays in [0, 1] and holds near both ends."""
    centre = (share + quantile**2 / (2 * trials)) / (1 + quantile**2 / trials)
    spread = share * (1 - share) / trials + quantile**2 / (4 * trials**2)
    half = quantile / (1 + quantile**2 / trials) * np.sqrt(spread)
    return float(min(share, max(0.0, centre - half))), float(max(share, min(1.0, centre + half)))
