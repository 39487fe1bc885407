"""Curves whose law is known are found again, with intervals that hold what they promise."""

import numpy as np
import pytest

from vit.results import data_efficiency
from vit.results.data_efficiency import crossing_of, error_at, fit

IMAGES = [100, 200, 400, 800]


def test_a_power_law_is_found_again():
    images = np.array(IMAGES, dtype=float)
    found = fit(images, np.stack([2 * images**-0.5, 0.3 * images**-0.1]))
    assert np.exp(found[:, 0]) == pytest.approx([2, 0.3])
    assert found[:, 1] == pytest.approx([0.5, 0.1])
    assert error_at(found[0], 1600) == pytest.approx(2 * 1600**-0.5)


def test_curves_cross_where_their_errors_are_equal():
    images = np.array(IMAGES, dtype=float)
    a, b = fit(images, 2 * images**-0.5), fit(images, 0.3 * images**-0.1)
    place = float(crossing_of(a, b))
    assert error_at(a, place) == pytest.approx(error_at(b, place))
    assert np.isnan(crossing_of(a, a))


def runs_of(make_run, model: str, errors: list[float], generator: np.random.Generator, count: int = 1_500) -> list:
    return [
        [make_run(generator.random(count) >= error, model, seed, 0.125 * 2**i) for seed in range(3)]
        for i, error in enumerate(errors)
    ]


def laws(exponent: float, at_the_middle: float) -> list[float]:
    return [at_the_middle * (n / 283) ** -exponent for n in IMAGES]


def test_a_crossing_is_found_with_an_interval_and_none_where_there_is_none(make_run):
    generator = np.random.default_rng(0)
    steep, flat = laws(0.6, 0.2), laws(0.1, 0.2)
    crossing = {
        "steep": runs_of(make_run, "steep", steep, generator),
        "flat": runs_of(make_run, "flat", flat, generator),
    }
    found = data_efficiency.of_models(crossing, IMAGES, ("steep", "flat"))["crossing"]
    assert found["low"] < 283 < found["high"] and found["high"] < 2 * found["low"]
    assert found["share_in_range"] > 0.99
    apart = {"good": crossing["flat"], "bad": runs_of(make_run, "bad", laws(0.1, 0.4), generator)}
    found = data_efficiency.of_models(apart, IMAGES, ("good", "bad"))["crossing"]
    assert found["images"] is None and found["share_in_range"] < 0.05


def test_the_gain_of_twice_the_images_lies_in_its_interval(make_run):
    """Over many worlds of one truth, 95 % of the intervals should hold it; few worlds allow a wide margin."""
    truth = laws(0.4, 0.2)[-1] * (1 - 2**-0.4)
    held = []
    for seed in range(30):
        made = runs_of(make_run, "a", laws(0.4, 0.2), np.random.default_rng(seed), count=300)
        twice = data_efficiency.of_models({"a": made}, IMAGES, None)["fits"][0]["twice"]
        held.append(twice["low"] <= truth <= twice["high"])
    assert sum(held) >= 25


def test_the_same_runs_give_the_same_fits_and_no_error_is_no_trouble(make_run):
    perfect = {"a": [[make_run(np.ones(50, bool), "a", seed, fraction) for seed in range(2)] for fraction in (0.5, 1)]}
    first, second = (data_efficiency.of_models(perfect, [50, 100], None) for _ in range(2))
    assert first == second
    assert np.isfinite(first["fits"][0]["twice"]["gain"])
