"""What can be said of a difference: intervals over seeds and images, paired tests, and their correction.

S seeds, N test images. `correct` [S, N] holds 1 where a training of that seed was right on that image.
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats

LEVEL = 0.05  # of every test and, as its complement, of every interval
POWER = 0.8
RESAMPLES = 2_000
LEAST_OF_IMAGES = 0.3  # of the variance that they alone give: chosen by simulation, as in tests/results


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95 % interval, and the deviation between seeds (None for a single seed)."""

    mean: float
    low: float
    high: float
    std: float | None


@dataclass(frozen=True)
class Interval:
    """The bounds of a 95 % interval."""

    low: float
    high: float


@dataclass(frozen=True)
class PairedTest:
    """The difference a - b of two accuracies on the same images, its 95 % interval and two-sided p-value.

    `detectable` is the true difference that the test, adjusted for all pairs, would find four times in five.
    """

    difference: float
    low: float
    high: float
    p_value: float
    detectable: float


def accuracy(correct: np.ndarray) -> Estimate:
    """Estimate the accuracy of a model, over the drawing of test images and of seeds.

    The score interval (Wilson 1927) of as many independent images as would give the mean its variance, which has a
    part from the images and a part from the seeds (see `_spread`), with a t quantile. For one seed the second part is
    unknown and left out.
    """
    mean = float(correct.mean())
    spread = _spread(correct.mean(0), [correct])
    effective = mean * (1 - mean) / spread.variance if spread.variance > 0 else correct.shape[1]
    low, high = score_interval(mean, effective, _quantile(spread.freedom))
    std = float(correct.mean(1).std(ddof=1)) if len(correct) > 1 else None
    return Estimate(mean, low, high, std)


def paired_test(a: np.ndarray, b: np.ndarray, pairs: int = 1) -> PairedTest:
    """Test whether two models differ in accuracy on the images they both saw; `pairs` of models are tested in all.

    A t-test of the mean difference, whose variance comes from crossed random effects of images and of seeds
    (Bouthillier et al. 2021, arXiv:2103.03098: a test that ignores seeds finds differences between reruns).
    """
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"models were tested on {a.shape[1]} and {b.shape[1]} images; a pair needs the same ones")
    by_image = a.mean(0) - b.mean(0)
    difference = float(by_image.mean())
    spread = _spread(by_image, [a, b])
    error = np.sqrt(spread.variance)
    half = _quantile(spread.freedom) * error
    if error == 0:
        p_value = 1.0 if difference == 0 else 0.0
    else:
        p_value = float(2 * stats.t.sf(abs(difference) / error, spread.freedom))
    detectable = (_quantile(spread.freedom, LEVEL / pairs) + stats.t.ppf(POWER, spread.freedom)) * error
    return PairedTest(difference, difference - half, difference + half, p_value, float(detectable))


def bootstrap_interval(a: np.ndarray, b: np.ndarray, seed: int = 0) -> Interval:
    """Return the 95 % percentile interval of the difference over resamples of images, the same for both, and of seeds.

    A second opinion: drawing both again counts the chance of single answers twice, so that it is too wide where seeds
    differ by no more than that (Owen 2007, the pigeonhole bootstrap, doi:10.1214/07-AOAS122).
    """
    generator = np.random.default_rng(seed)
    by_seed = resampled_images([a, b], generator)
    means = [(means * resampled_seeds(means.shape[1], generator)).sum(1) for means in by_seed]
    return percentile_interval(means[0] - means[1])


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


def resampled_seeds(count: int, generator: np.random.Generator) -> np.ndarray:
    """Return the weights of seeds drawn again: [R, S], each row summing to 1."""
    return generator.multinomial(count, np.full(count, 1 / count), RESAMPLES) / count


def holm(p_values: list[float]) -> list[float]:
    """Adjust the p-values of several tests so that the chance of any false finding stays at the level (Holm 1979)."""
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, i in enumerate(np.argsort(p_values, kind="stable")):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = largest
    return adjusted


def score_interval(share: float, trials: float, quantile: float) -> tuple[float, float]:
    """Return the interval of a proportion (Wilson 1927); it stays in [0, 1] and holds near both ends."""
    centre = (share + quantile**2 / (2 * trials)) / (1 + quantile**2 / trials)
    spread = share * (1 - share) / trials + quantile**2 / (4 * trials**2)
    half = quantile / (1 + quantile**2 / trials) * np.sqrt(spread)
    return float(min(share, max(0.0, centre - half))), float(max(share, min(1.0, centre + half)))


@dataclass(frozen=True)
class _Spread:
    """The variance of a mean, and its degrees of freedom."""

    variance: float
    freedom: float


def _spread(by_image: np.ndarray, models: list[np.ndarray]) -> _Spread:
    """Return the variance of the mean of `by_image` [N] when images and the seeds of `models` [S, N] are random.

    Two crossed random effects: the variance between images by N, and between seeds by S, each of which holds the
    variance of single answers; that is taken off once (Searle et al. 1992, Variance Components, ch. 5). Satterthwaite's
    degrees of freedom, in which seeds count for no less than single answers make of them: those that agree by chance
    would seem to tell more than they do.
    """
    images = by_image.var(ddof=1) / len(by_image)
    seeds = [_seed_parts(correct) for correct in models if len(correct) > 1]
    beyond = max(0.0, images - sum(part.answers for part in seeds))
    variance = max(beyond + sum(part.variance for part in seeds), LEAST_OF_IMAGES * images)
    firm = [(max(part.variance, part.answers), part.freedom) for part in seeds]
    weights = beyond**2 / (len(by_image) - 1) + sum(part**2 / freedom for part, freedom in firm)
    total = beyond + sum(part for part, _ in firm)
    return _Spread(float(variance), float(total**2 / weights) if weights else np.inf)


@dataclass(frozen=True)
class _SeedParts:
    """Of the mean of one model's seeds: the variance as the seeds show it, and what single answers alone make of it."""

    variance: float
    answers: float
    freedom: int


def _seed_parts(correct: np.ndarray) -> _SeedParts:
    count = len(correct)
    residuals = correct - correct.mean(0) - correct.mean(1, keepdims=True) + correct.mean()
    answers = (residuals**2).sum() / ((count - 1) * (correct.shape[1] - 1)) / correct.size
    return _SeedParts(float(correct.mean(1).var(ddof=1) / count), float(answers), count - 1)


def _quantile(freedom: float, level: float = LEVEL) -> float:
    return float(stats.t.ppf(1 - level / 2, freedom))
