"""Calibration by hand, against torchmetrics, and on answers whose truth is known."""

import numpy as np
import pytest
import torch
from scipy.special import softmax
from torchmetrics.functional.classification import multiclass_calibration_error

from vit.results import calibration
from vit.results.calibration import Answers, Bin, calibration_error, confidences, equal_mass_bins, equal_width_bins


def answers(count: int = 4_000, sharpness: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits whose softmax is the chance of each label, and then made `sharpness` times as large."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 1.5, (count, 5))
    labels = (softmax(logits, axis=1).cumsum(1) > generator.random((count, 1))).argmax(1)
    return logits * sharpness, labels


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
    before, after = Answers.of(logits, labels).scores, Answers.of(logits / temperature, labels).scores
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
    assert Answers.of(logits, np.arange(50) % 5).scores["area_under_risk"] == 0
