"""How the error falls with training images: fitted laws, tested before they are believed, and where two models cross.

The error is fitted by a power of the number n of images, a n^-b (Hestness et al. 2017, arXiv:1712.00409), or by one
above a floor, a n^-b + c, where the first fails. A law says what twice the images would bring only where, fitted to all
but the last fraction, it foretells that one; what it missed there widens the interval of what it says.
"""

from dataclasses import dataclass

import numpy as np

from ..randomness import derive_seed
from .results import BackTest, Crossing, CurveFit, CurveFits, Gain, RivalsCrossing
from .runs import Group, correct_of, folds_of
from .spread import widened
from .statistics import Interval, percentile_interval, resampled_images

Fits = np.ndarray  # [..., 3]: log a, b and c of a n^-b + c
NO_FLOOR = (0.0,)
FLOORS = tuple(np.linspace(0, 0.98, 50))  # as parts of the smallest error
LEAST_FRACTIONS = 3  # two leave nothing to test a line by
LEAST_FRACTIONS_OF_FLOOR = 4
LEAST_SHARE = 0.95  # of resamples in which two curves cross, before it is said that they do
ROUNDING = 1e-9
COUNTS = {1: "one fraction", 2: "two fractions"}


@dataclass(frozen=True)
class Extrapolation:
    """A law fitted to all fractions, its test on the last one, and what it says of twice the images."""

    fit: Fits
    back_test: BackTest
    twice: Gain


def fit(images: np.ndarray, errors: np.ndarray, floors: tuple[float, ...] = NO_FLOOR) -> Fits:
    """Fit errors [..., F] at numbers of training images [F] by least squares of their logarithms: [..., 3].

    For every floor the rest is a straight line of logarithms; of `floors`, parts of the smallest error, the best stays.
    """
    x = np.log(images)
    found, least = np.empty((*errors.shape[:-1], 3)), np.full(errors.shape[:-1], np.inf)
    for part in floors:
        floor = part * errors.min(-1)
        above = errors - floor[..., None]
        line = _line(x, np.log(above), (above / errors) ** 2)
        law = np.concatenate([line, floor[..., None]], axis=-1)
        residual = (np.log(error_at(law[..., None, :], images) / errors) ** 2).sum(-1)
        better = residual < least - ROUNDING**2
        found[better], least[better] = law[better], residual[better]
    return found


def _line(x: np.ndarray, logs: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return where the weighted line through `logs` [..., F] begins at x = 0 and how steeply it falls: [..., 2]."""
    weights = weights / weights.sum(-1, keepdims=True)
    middle = (weights * x).sum(-1, keepdims=True)
    away = weights * (x - middle)
    slope = (away * logs).sum(-1) / (away * (x - middle)).sum(-1)
    return np.stack([(weights * logs).sum(-1) - slope * middle[..., 0], -slope], axis=-1)


def error_at(fits: Fits, images: np.ndarray | float) -> np.ndarray:
    return np.exp(fits[..., 0] - fits[..., 1] * np.log(images)) + fits[..., 2]


def resampled_errors(groups: list[list[Group]], seed: int) -> np.ndarray:
    """Return the errors of models [M] on fractions [F], measured first and then over resamples: [1 + R, M, F].

    Test images are drawn again, the same ones for every model and fraction (Efron 1979). Few seeds drawn again would
    vary too little: their luck is a t variable of the deviation that all fractions of a model show together.
    """
    generator = np.random.default_rng(derive_seed("resample", seed))
    tables = [1 - correct_of(group) for fractions in groups for group in fractions]
    drawn = np.stack([means.mean(1) for means in resampled_images(tables, generator)], axis=1)
    measured = np.array([[table.mean() for table in tables]])
    drawn = measured + (drawn - measured) * widened(folds_of(groups[0][0])) ** 0.5
    errors = np.concatenate([measured, drawn]).reshape(-1, len(groups), len(groups[0]))
    for i, fractions in enumerate(groups):
        errors[1:, i] += _luck_of_seeds([1 - correct_of(group) for group in fractions], len(drawn), generator)
    return np.maximum(errors, 0.5 / tables[0].shape[1])  # an error of none has no logarithm


def _luck_of_seeds(tables: list[np.ndarray], count: int, generator: np.random.Generator) -> np.ndarray:
    """Draw how far the means of one model's tables [S, N] are off by their seeds, each on its own: [count, F]."""
    seeds = np.array([len(table) for table in tables])
    freedom = (seeds - 1).sum()
    if freedom == 0:
        return np.zeros((count, len(tables)))
    squares = sum(((table.mean(1) - table.mean()) ** 2).sum() for table in tables)
    scale = np.sqrt(squares / freedom / generator.chisquare(freedom, (count, 1)) * freedom)
    return scale * generator.standard_normal((count, len(tables))) / np.sqrt(seeds)


def of_models(by_fraction: dict[str, list[Group]], images: list[int], rivals: tuple[str, str] | None) -> CurveFits:
    """Return every model's fit, its test, what twice the images would give if that is earned, and the rivals' crossing.

    `by_fraction` holds each model's seeds on every fraction, `images` how many training images these are.
    """
    names = list(by_fraction)
    errors = resampled_errors(list(by_fraction.values()), seed=0)
    lone = {name: min(len(group) for group in by_fraction[name]) < 2 for name in names}
    rows = [_row(name, np.array(images), errors[:, i], lone[name]) for i, name in enumerate(names)]
    crossing = None
    if rivals is not None:
        a, b = (errors[:, names.index(name)] for name in rivals)
        reason = "one seed" if lone[rivals[0]] or lone[rivals[1]] else None
        crossing = RivalsCrossing(*rivals, **vars(crossing_of(np.array(images), np.log(a / b), reason)))
    return CurveFits(rows, crossing)


def _row(name: str, images: np.ndarray, errors: np.ndarray, lone: bool) -> CurveFit:
    """Return the fit of one model's errors [1 + R, F], its test, and either a prediction or why there is none."""
    if len(images) < LEAST_FRACTIONS:
        return CurveFit(name, *_law(fit(images, errors[0])), back_test=None, twice=None, reason=COUNTS[len(images)])
    found = _simplest(images, errors)
    reason = "one seed" if lone else _refused(found)
    twice = None if reason else found.twice
    return CurveFit(name, *_law(found.fit), back_test=found.back_test, twice=twice, reason=reason)


def _law(fits: Fits) -> tuple[float, float, float]:
    """Return the factor, the exponent and the floor of one fit [3]."""
    return float(np.exp(fits[0])), float(fits[1]), float(fits[2])


def _simplest(images: np.ndarray, errors: np.ndarray) -> Extrapolation:
    """Return the law without a floor, unless it fails and there are fractions enough to find a floor that passes."""
    plain = extrapolate(images, errors, NO_FLOOR)
    if plain.back_test.passed or len(images) < LEAST_FRACTIONS_OF_FLOOR:
        return plain
    floored = extrapolate(images, errors, FLOORS)
    return floored if floored.back_test.passed else plain


def _refused(found: Extrapolation) -> str | None:
    """Return why an extrapolation is not to be believed, in words, or None where it is earned."""
    if not found.back_test.passed:
        return f"the fit missed the last fraction by {100 * abs(found.back_test.missed):.1f} points"
    if found.twice.low <= 0:
        low, high = (f"{100 * bound:+.1f}".replace("-", "−") for bound in (found.twice.low, found.twice.high))
        return f"too uncertain, {low} to {high} points"
    return None


def extrapolate(images: np.ndarray, errors: np.ndarray, floors: tuple[float, ...]) -> Extrapolation:
    """Fit errors [1 + R, F], the measured ones first, test the law on the last fraction and ask it for twice that.

    Every resample's gain is moved, up and down, by what its own back-test missed times what that grows to further on.
    """
    predicted = error_at(fit(images[:-1], errors[:, :-1], floors), images[-1])
    missed = predicted - errors[:, -1]
    bounds = percentile_interval(missed[1:])
    passed = bounds.low <= ROUNDING and bounds.high >= -ROUNDING
    back_test = BackTest(
        int(images[-1]), float(predicted[0]), float(errors[0, -1]), float(missed[0]), bounds.low, bounds.high, passed
    )
    fits = fit(images, errors, floors)
    gains = error_at(fits, images[-1]) - error_at(fits, 2 * images[-1])
    margin = growth_of_miss(images, 1 if floors == NO_FLOOR else 2) * np.abs(missed)
    low, high = percentile_interval((gains - margin)[1:]).low, percentile_interval((gains + margin)[1:]).high
    return Extrapolation(fits[0], back_test, Gain(float(gains[0]), low, high))


def growth_of_miss(images: np.ndarray, degree: int) -> float:
    """Return how far off the gain is in units of the back-test's miss, where the fit lacks the next power of log n.

    1.5 for a line through three fractions a doubling apart, 1.2 for four.
    """
    x = np.log(images / images[0])
    here, ahead = x[-1], x[-1] + np.log(2)
    lacking = x ** (degree + 1)
    missed = np.polyval(np.polyfit(x[:-1], lacking[:-1], degree), here) - lacking[-1]
    whole = np.polyfit(x, lacking, degree)
    gain = np.polyval(whole, here) - np.polyval(whole, ahead)
    return float(abs((gain - (lacking[-1] - ahead ** (degree + 1))) / missed))


def crossing_of(images: np.ndarray, differences: np.ndarray, reason: str | None = None) -> Crossing:
    """Return where the difference [1 + R, F] of two models' log errors changes its sign, the measured one first.

    No law is asked: the signs at both ends must be opposite, in nearly all resamples. `reason` forbids a claim.
    """
    reversed_order = differences[:, 0] * differences[:, -1] < 0
    share = float(reversed_order[1:].mean())
    if not reversed_order[0] or share < LEAST_SHARE:
        reason = reason or "the order at both ends is not certain enough"
    if reason:
        return Crossing(None, None, None, share, reason)
    places = _places(images, differences[reversed_order])
    bounds: Interval = percentile_interval(places[1:])
    return Crossing(float(places[0]), bounds.low, bounds.high, share, None)


def _places(images: np.ndarray, differences: np.ndarray) -> np.ndarray:
    """Return how far from the fewest images the first sign reaches, straight between fractions in log n: [...].

    Where noise changes the sign more than once, it is the length in all over which the first sign holds.
    """
    first = np.maximum(differences * np.sign(differences[:, :1]), 0)
    size = np.maximum(np.abs(differences), ROUNDING)
    held = (first[:, :-1] + first[:, 1:]) / (size[:, :-1] + size[:, 1:])
    return images[0] * np.exp((held * np.diff(np.log(images))).sum(1))
