"""Calibration by hand, against torchmetrics, and on answers whose truth is known."""

import json
from dataclasses import asdict, replace
from itertools import permutations

import numpy as np
import pytest
import torch
from scipy.special import softmax
from torchmetrics.functional.classification import multiclass_calibration_error

from vit.report import calibration
from vit.report.answers import Answers
from vit.report.calibration import calibration_error, equal_mass_bins, equal_width_bins, scores_of
from vit.report.results import Bin


def answers(count: int = 4_000, sharpness: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits whose softmax is the chance of each label, and then made `sharpness` times as large."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 1.5, (count, 5))
    labels = (softmax(logits, axis=1).cumsum(1) > generator.random((count, 1))).argmax(1)
    return logits * sharpness, labels


def confidences(logits: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    found = Answers.of(logits, labels)
    return found.confidence, found.correct


@pytest.mark.parametrize("bins", [10, 15])
def test_the_error_is_that_of_torchmetrics(bins):
    logits, labels = answers()
    expected = multiclass_calibration_error(
        torch.from_numpy(softmax(logits, axis=1)), torch.from_numpy(labels), 5, n_bins=bins, norm="l1"
    )
    assert calibration_error(equal_width_bins(*confidences(logits, labels), bins)) == pytest.approx(
        expected.item(), abs=1e-5
    )


def test_the_error_by_hand():
    """Three images at confidence 0.8, of which two are right, and one sure one that is wrong."""
    logits = np.log(np.array([[0.8, 0.2], [0.8, 0.2], [0.2, 0.8], [1e-9, 1.0]]))
    labels = np.array([0, 0, 0, 0])
    assert calibration_error(equal_width_bins(*confidences(logits, labels))) == pytest.approx(
        (3 * (0.8 - 2 / 3) + 1.0) / 4
    )


def test_bins_of_equal_mass_hold_as_many_images_each():
    logits, labels = answers(1_000)
    found = equal_mass_bins(*confidences(logits, labels), 8)
    assert [each.images for each in found] == [125] * 8
    assert [each.confidence for each in found] == sorted(each.confidence for each in found)
    two = equal_mass_bins(np.array([0.6, 0.9, 0.7, 0.8]), np.array([True, True, False, False]), 2)
    assert two == [Bin(2, pytest.approx(0.65), 0.5), Bin(2, pytest.approx(0.85), 0.5)]


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0])
def test_the_temperature_undoes_what_was_multiplied(sharpness):
    logits, labels = answers(20_000, sharpness)
    temperature = calibration.fit_temperature(logits, labels)
    assert temperature == pytest.approx(sharpness, rel=0.05)
    before, after = (scores_of(Answers.of(logits, labels, temperature=each)) for each in (1.0, temperature))
    assert after["nll"] <= before["nll"]
    assert after["ece"] < 0.02
    if sharpness != 1:
        assert before["ece"] > 0.05


def test_risk_is_the_share_of_errors_among_the_most_confident():
    confidence, correct = np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, False, True, False])
    found = calibration.risk_at(confidence, correct, np.array([0.25, 0.5, 0.75, 1.0]))
    assert found == pytest.approx([0, 1 / 2, 1 / 3, 1 / 2])
    assert calibration.area_under_risk(confidence, correct) == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 2) / 4)


def test_a_perfect_model_risks_nothing():
    logits = 10 * np.eye(5)[np.arange(50) % 5]
    assert scores_of(Answers.of(logits, np.arange(50) % 5))["area_under_risk"] == 0


def test_ties_share_their_risk_in_whatever_order_they_come():
    confidence, correct = np.array([0.9, 0.8, 0.8, 0.8]), np.array([True, False, True, True])
    orders = [np.array(order) for order in permutations(range(4))]
    areas = {round(calibration.area_under_risk(confidence[order], correct[order]), 12) for order in orders}
    assert areas == {round((0 + (1 / 3) / 2 + (2 / 3) / 3 + 1 / 4) / 4, 12)}
    errors = [calibration_error(equal_mass_bins(confidence[order], correct[order], 2)) for order in orders]
    assert errors == pytest.approx([errors[0]] * len(errors))


def seeds_of(make_run, count: int, images: int, sharpness: float = 1.0, validation: int = 0) -> list:
    """Seeds of one model on the same images, each a little other than the truth, with validations of their own."""
    generator = np.random.default_rng(7)
    logits, labels = answers(images, sharpness)
    runs = []
    for seed in range(count):
        said = logits * np.exp(generator.normal(0, 0.05)) + generator.normal(0, 0.02, logits.shape)
        run = make_run(np.ones(images, bool), seed=seed, labels=labels % 3)
        of_validation = answers(validation, sharpness, 100 + seed) if validation else None
        runs.append(replace(run, logits=said.astype(np.float32), labels=labels, validation=of_validation))
    return runs


@pytest.mark.parametrize("seeds", [1, 3])
def test_a_row_holds_an_interval_of_every_score(make_run, seeds):
    (row,) = calibration.of_models({"a": seeds_of(make_run, seeds, 800, sharpness=2.0, validation=500)})
    assert row.fitted_seeds == seeds and row.temperature == pytest.approx(2.0, rel=0.2)
    for each in (row, row.scaled):
        for key, bounds in vars(each.intervals).items():
            assert 0 <= bounds.low <= getattr(each, key) <= bounds.high
    assert row.intervals.ece.low > row.ece_if_calibrated.mean > 0
    assert row.scaled.intervals.ece.low < row.scaled.ece < row.intervals.ece.low
    assert json.loads(json.dumps(asdict(row))) == asdict(row)
    assert calibration.of_models({"a": seeds_of(make_run, seeds, 800, sharpness=2.0, validation=500)}) == [row]


def test_nothing_is_scaled_where_nothing_is_better_or_known(make_run):
    (calibrated,) = calibration.of_models({"a": seeds_of(make_run, 2, 300, validation=150)})
    assert (calibrated.temperature, calibrated.fitted_seeds, calibrated.scaled) == (1.0, 0, None)
    (unknown,) = calibration.of_models({"a": seeds_of(make_run, 2, 300)})
    assert (unknown.temperature, unknown.fitted_seeds, unknown.scaled) == (None, 0, None)
    sharp, _ = seeds_of(make_run, 2, 300, sharpness=3.0, validation=400)
    faultless = replace(sharp, validation=(10 * np.eye(5)[np.arange(50) % 5], np.arange(50) % 5))
    (row,) = calibration.of_models({"a": [sharp, faultless]})
    assert row.fitted_seeds == 1 and row.temperature == pytest.approx((3 + 1) / 2, rel=0.2)
    assert row.scaled.nll < row.nll


def confident(generator: np.random.Generator, images: int, sharpness: float = 1.0, scale: float = 28.0):
    """Logits and labels of ten classes, calibrated before they are made sharper: 96 % right at scale 28."""
    logits = generator.normal(0, scale, (images, 10))
    labels = (softmax(logits, axis=1).cumsum(1) > generator.random((images, 1))).argmax(1)
    return logits * sharpness, labels


def test_a_temperature_of_few_images_seldom_makes_the_likelihood_worse():
    """Fitted always, on 136 validation images, it makes that of calibrated models worse in most worlds."""
    generator, worlds = np.random.default_rng(2), 60
    fits = {calibration.fit_temperature: 0, calibration.proven_temperature: 0}
    for _ in range(worlds):
        validation, (logits, labels) = confident(generator, 136), confident(generator, 2_000)
        for fit in fits:
            fits[fit] += calibration.nll(logits / fit(*validation), labels) > calibration.nll(logits, labels)
    always, proven = fits.values()
    assert always > 0.6 * worlds and proven < 0.15 * worlds


def test_chance_alone_makes_the_error_of_a_calibrated_model():
    """About 0.027 with 450 images at 91 %, and less of more images (measured with models of ours)."""
    generator = np.random.default_rng(0)
    found = {}
    for images in (450, 7_200):
        logits, labels = confident(generator, images, scale=12.0)
        confidence, _ = confidences(logits, labels)
        numbers = calibration.width_numbers(confidence)[None]
        found[images] = calibration.errors_if_calibrated(confidence[None], numbers)
    assert found[450].mean() == pytest.approx(0.027, abs=0.003)
    assert found[7_200].mean() == pytest.approx(found[450].mean() / 4, rel=0.1)


@pytest.mark.parametrize("sharpness, truth", [(1.0, 0.0), (2.0, 0.129)])
def test_intervals_of_the_error_hold_the_true_one(sharpness, truth, monkeypatch):
    """The true error of the sharper model is that of a million images."""
    monkeypatch.setattr(calibration, "RESAMPLES", 100)
    generator, worlds, held = np.random.default_rng(3), 100, 0
    for _ in range(worlds):
        logits, labels = confident(generator, 450, sharpness, scale=4.0)
        confidence, correct = (values[None] for values in confidences(logits, labels))
        numbers = calibration.width_numbers(confidence)
        chance = float(np.quantile(calibration.errors_if_calibrated(confidence, numbers), 0.95))
        found = calibration.error_interval(correct - confidence, numbers, chance)
        held += found.low <= truth <= found.high
    assert held >= 0.88 * worlds


def test_intervals_of_the_likelihood_hold_the_true_one(make_run, monkeypatch):
    """Seeds differ in how sharp they are; the truth is the mean of many seeds on many images."""
    monkeypatch.setattr(calibration, "RESAMPLES", 2)
    generator, worlds, held = np.random.default_rng(4), 60, 0
    drawn = lambda: np.exp(generator.normal(0, 0.2))  # noqa: E731
    logits, labels = confident(generator, 20_000, scale=4.0)
    truth = np.mean([calibration.nll(logits * drawn(), labels) for _ in range(60)])
    for _ in range(worlds):
        logits, labels = confident(generator, 400, scale=4.0)
        seeds = [Answers.of(logits * drawn(), labels) for _ in range(4)]
        bounds = calibration._pooled(seeds).intervals.nll
        held += bounds.low <= truth <= bounds.high
    assert held >= 0.85 * worlds


def test_rivals_are_compared_on_the_same_images(make_run):
    good, bad = seeds_of(make_run, 3, 500), seeds_of(make_run, 3, 500, sharpness=3.0)
    found = calibration.of_rivals(good, bad)
    rows = calibration.of_models({"good": good, "bad": bad})
    for key in ("nll", "brier"):
        each = getattr(found, key)
        assert each.difference == pytest.approx(getattr(rows[0], key) - getattr(rows[1], key))
        assert each.low < each.difference < each.high < 0 and each.p_value < 0.01
    assert json.loads(json.dumps(asdict(found))) == asdict(found)
    lone = calibration.of_rivals(good[:1], bad[:1])
    assert lone.nll.p_value is None and lone.nll.low < lone.nll.high
