"""How accuracy grows with training images: a fitted curve a model, and where the curves of two models cross.

The error is fitted by a power of the number n of images, a n^-b: a straight line of its logarithm (Hestness et al.
2017, arXiv:1712.00409). What the fit says beyond the measured range is a guess, and is called one.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..randomness import derive_seed
from .runs import Group, correct_of
from .statistics import Interval, percentile_interval, resampled_images, resampled_seeds

Fits = np.ndarray  # [..., 2]: log a and b


@dataclass(frozen=True)
class Crossing:
    """Where two fitted curves cross: its 95 % interval, and in how many of the resamples they cross in the range.

    `images` is None where the curves as measured cross nowhere in the range.
    """

    images: float | None
    low: float | None
    high: float | None
    share_in_range: float


def fit(images: np.ndarray, errors: np.ndarray) -> Fits:
    """Fit errors [..., F] at numbers of training images [F] by least squares of their logarithms: [..., 2]."""
    x = np.log(images)
    away = x - x.mean()
    logs = np.log(errors)
    slope = (logs * away).sum(-1) / (away**2).sum()
    return np.stack([logs.mean(-1) - slope * x.mean(), -slope], axis=-1)


def error_at(fits: Fits, images: float) -> np.ndarray:
    return np.exp(fits[..., 0] - fits[..., 1] * np.log(images))


def crossing_of(a: Fits, b: Fits) -> np.ndarray:
    """Return at how many images the curves of two fits [..., 2] meet; nan where they are parallel: [...]."""
    across = a[..., 1] - b[..., 1]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return np.where(across == 0, np.nan, np.exp((a[..., 0] - b[..., 0]) / across))


def resampled_errors(groups: list[list[Group]], seed: int) -> np.ndarray:
    """Return the errors of models [M] on fractions [F], measured first and then over resamples: [1 + R, M, F].

    Test images and seeds are drawn again, the same ones for every model and fraction that has them (Efron 1979).
    """
    generator = np.random.default_rng(derive_seed("resample", seed))
    tables = [1 - correct_of(group) for fractions in groups for group in fractions]
    weights = {seeds: resampled_seeds(seeds, generator) for seeds in sorted({len(table) for table in tables})}
    drawn = [(means * weights[means.shape[1]]).sum(1) for means in resampled_images(tables, generator)]
    measured = [[table.mean()] for table in tables]
    errors = np.concatenate([measured, drawn], axis=1).T.reshape(-1, len(groups), len(groups[0]))
    return np.maximum(errors, 0.5 / tables[0].shape[1])  # an error of none has no logarithm


def of_models(by_fraction: dict[str, list[Group]], images: list[int], rivals: tuple[str, str] | None) -> dict[str, Any]:
    """Return every model's fit and what twice the images would give, and the crossing of two rivals.

    `by_fraction` holds each model's seeds on every fraction, `images` how many training images these are.
    """
    names = list(by_fraction)
    errors = resampled_errors(list(by_fraction.values()), seed=0)
    fits = fit(np.array(images, dtype=float), errors)  # [1 + R, M, 2]
    now, twice = error_at(fits, images[-1]), error_at(fits, 2 * images[-1])
    gains = now - twice
    rows = [
        {
            "model": name,
            "factor": float(np.exp(fits[0, i, 0])),
            "exponent": float(fits[0, i, 1]),
            "twice": {"gain": float(gains[0, i])} | asdict(percentile_interval(gains[1:, i])),
        }
        for i, name in enumerate(names)
    ]
    crossing = None
    if rivals is not None:
        a, b = (fits[:, names.index(name)] for name in rivals)
        crossing = {"a": rivals[0], "b": rivals[1]} | asdict(_crossing(crossing_of(a, b), images))
    return {"fits": rows, "crossing": crossing}


def _crossing(places: np.ndarray, images: list[int]) -> Crossing:
    inside = (places >= images[0]) & (places <= images[-1])
    drawn = places[1:][inside[1:]]
    share = float(inside[1:].mean())
    if not inside[0]:
        return Crossing(None, None, None, share)
    bounds = percentile_interval(drawn) if len(drawn) else Interval(np.nan, np.nan)
    return Crossing(float(places[0]), bounds.low, bounds.high, share)
