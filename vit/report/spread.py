"""How far a mean over test images and seeds would have come out otherwise: its variance, and what is known of that.

S seeds, N test images; values [S, N] are 1 and 0 for right and wrong answers, or any measure of an image.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import special, stats
from scipy.optimize import brentq

FEWEST_DISCORDANT = 2.0  # squared differences of right and wrong: one image each way (Agresti and Min 2005)
LEAST_OF_DRAWN = 0.6  # of the p-value with a drawn variance: chosen by simulation, tools/simulate_statistics.py
TINY = 1e-300  # a variance of none, of which a distance is still so many deviations
OF_CORRECTION = 0.2  # of that of Nadeau and Bengio: chosen by simulation, tools/simulate_folds.py
DRAWS = (np.arange(200) + 0.5) / 200  # quantiles at which the variance of seeds is drawn


@dataclass(frozen=True)
class Spread:
    """The variance of a mean when images and seeds are random, in two crossed effects.

    `images`: the variance between images by N, which holds the chance of single answers. `seeds`: that between seeds
    by S, summed over the models; it holds `answers`, the chance of single answers, once more. `freedom` of the seeds.
    """

    images: float
    seeds: float
    answers: float
    freedom: float
    count: int  # of images

    @property
    def of_seeds(self) -> float:
        """Return what seeds add to the variance beyond single answers."""
        return max(0.0, self.seeds - self.answers)

    @property
    def variance(self) -> float:
        """Return the variance of the mean: never less than that of images alone (Searle et al. 1992, ch. 5)."""
        return self.images + self.of_seeds

    @cached_property
    def whole_freedom(self) -> float:
        """Return the degrees of freedom of the variance (Satterthwaite 1946).

        Seeds count with all that they show, single answers too: those that agree by chance would else tell too much.
        No fewer than of the seeds or the images alone.
        """
        of_images = max(self.count - 1, 1)
        weights = self.images**2 / of_images + (self.seeds**2 / self.freedom if self.freedom else 0.0)
        return max(self.variance**2 / weights, min(self.freedom or of_images, of_images)) if weights else np.inf

    def p_value(self, distance: float) -> float:
        """Return the two-sided p-value of a mean that far from the one assumed.

        Student's t; but no less than LEAST_OF_DRAWN of a normal test whose variance of seeds is drawn from what they
        tell of it. The second matters far in the tail, where two or three seeds that agree by chance promise too much.
        """
        if self.variance == 0:
            return 1.0 if distance == 0 else 0.0
        by_t = 2 * stats.t.sf(abs(distance) / self.variance**0.5, self.whole_freedom)
        return float(max(by_t, LEAST_OF_DRAWN * self._drawn_p_value(abs(distance))))

    def half_width(self, level: float) -> float:
        """Return the distance whose p-value is `level`: half the interval of confidence 1 - level."""
        if self.variance == 0:
            return 0.0
        by_t = stats.t.isf(level / 2, self.whole_freedom) * self.variance**0.5
        wanted = level / LEAST_OF_DRAWN
        if not self.freedom or wanted >= 1 or LEAST_OF_DRAWN * self._drawn_p_value(by_t) <= level:
            return float(by_t)
        far = by_t
        while self._drawn_p_value(far) > wanted:
            far *= 2
        return float(brentq(lambda distance: self._drawn_p_value(distance) - wanted, by_t, far, xtol=1e-9))  # type: ignore[arg-type]

    def _drawn_p_value(self, distance: float) -> float:
        return float(2 * special.ndtr(-distance / self._drawn_deviations).mean())

    @cached_property
    def _drawn_deviations(self) -> np.ndarray:
        if not self.freedom:
            return np.array([self.variance**0.5])
        drawn = self.seeds * self.freedom / (2 * special.gammaincinv(self.freedom / 2, DRAWS))
        return np.sqrt(np.maximum(self.images + np.maximum(0.0, drawn - self.answers), TINY))


def spread_of(by_image: np.ndarray, models: Sequence[np.ndarray], least: float = 0.0, folds: int = 0) -> Spread:
    """Return the spread of the mean of `by_image` [N], a sum or difference of the means of `models` [S, N] by image.

    `least` is a bound of the images' squared deviations. Freedom of seeds by Satterthwaite, and at most what as many
    seeds as the fewer would give both models: more of one tell nothing of the other. A lone seed tells of no variance.
    Where images were tested by `folds`, the variance of images grows by `widened`.
    """
    count = len(by_image)
    squares = max(float(((by_image - by_image.mean()) ** 2).sum()), least)
    parts = [_seed_parts(values) for values in models if len(values) > 1]
    images = squares / max(count - 1, 1) / count * widened(folds)
    if not parts:
        return Spread(images, 0.0, 0.0, 0.0, count)
    firm = np.array([max(part) for part in parts])
    freedoms = np.array([len(values) - 1 for values in models if len(values) > 1])
    weights = (firm**2 / freedoms).sum()
    fewest = freedoms.min()
    freedom = np.clip(firm.sum() ** 2 / weights, fewest, len(parts) * fewest) if weights else fewest
    seeds, answers = np.sum(parts, axis=0)
    return Spread(images, float(seeds), float(answers), float(freedom), count)


def widened(folds: int) -> float:
    """Return by what the variance of images grows where they were tested by K folds; 1 for one test split (folds 0).

    Training sets of folds share their images, and which ones there are is luck of all of them together. Nadeau and
    Bengio (2003) add n_test / n_train, 1 / (K - 1), to the 1 / K by which the variance of a fold's mean counts: the
    variance is K / (K - 1) larger. That is too much where seeds and images are crossed: false alarms of 1 to 2 %.
    """
    return 1 + OF_CORRECTION * folds / (folds - 1) if folds > 1 else 1.0


def _seed_parts(values: np.ndarray) -> tuple[float, float]:
    """Return the variance of a model's mean as its seeds show it, and what single answers alone make of it."""
    count = len(values)
    residuals = values - values.mean(0) - values.mean(1, keepdims=True) + values.mean()
    answers = (residuals**2).sum() / ((count - 1) * max(values.shape[1] - 1, 1)) / values.size
    return float(values.mean(1).var(ddof=1) / count), float(answers)
