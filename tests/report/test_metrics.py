"""Scores against scikit-learn, torchmetrics and scipy, on logits of every kind."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.stats import binomtest
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    brier_score_loss,
    confusion_matrix,
    f1_score,
    log_loss,
    precision_recall_fscore_support,
    top_k_accuracy_score,
)
from torchmetrics.functional.classification import multiclass_accuracy, multiclass_calibration_error

from vit import UserError
from vit.report import metrics

CASES = {  # name: images, classes, scale of the logits
    "many classes": (700, 11, 2.0),
    "few images": (23, 4, 1.0),
    "two classes": (300, 2, 3.0),
    "overconfident": (500, 7, 25.0),
    "undecided": (400, 6, 0.01),
}


@pytest.fixture(params=CASES.values(), ids=CASES.keys())
def case(request) -> tuple[np.ndarray, np.ndarray]:
    """Logits [N, C] as float32, right more often than by chance, and labels [N] that hold every class."""
    count, num_classes, scale = request.param
    draw = np.random.default_rng(count)
    labels = np.concatenate([np.arange(num_classes), draw.integers(0, num_classes, count - num_classes)])
    logits = draw.normal(size=(count, num_classes)) + 1.5 * np.eye(num_classes)[labels]
    return (scale * logits).astype(np.float32), labels


def names(logits: np.ndarray) -> list[str]:
    return [f"class {i}" for i in range(logits.shape[1])]


def probabilities(logits: np.ndarray) -> np.ndarray:
    return torch.from_numpy(logits).double().softmax(1).numpy()


def test_scores_are_those_of_scikit_learn(case):
    logits, labels = case
    found = metrics.scores(logits, labels, names(logits))
    predicted, chances = logits.argmax(1), probabilities(logits)
    assert found["num_images"] == len(labels)
    assert found["top1"] == pytest.approx((predicted == labels).mean())
    assert found["nll"] == pytest.approx(
        F.cross_entropy(torch.from_numpy(logits).double(), torch.from_numpy(labels)).item()
    )
    assert found["brier"] == pytest.approx(
        brier_score_loss(np.eye(logits.shape[1])[labels], chances, scale_by_half=False)
    )
    assert found["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(labels, predicted))
    assert found["macro_f1"] == pytest.approx(f1_score(labels, predicted, average="macro"))
    assert found["confusion"] == confusion_matrix(labels, predicted).tolist()


def test_top_k_is_that_of_scikit_learn(case):
    logits, labels = case
    for k in range(1, logits.shape[1]):
        expected = top_k_accuracy_score(labels, logits if logits.shape[1] > 2 else logits[:, 1] - logits[:, 0], k=k)
        assert metrics.top_k(logits, labels, k) == pytest.approx(expected)
    assert metrics.top_k(logits, labels, logits.shape[1] + 3) == 1.0


def test_top_five_of_the_scores_is_that_of_torchmetrics(case):
    logits, labels = case
    k = min(5, logits.shape[1])
    expected = multiclass_accuracy(
        torch.from_numpy(logits), torch.from_numpy(labels), logits.shape[1], average="micro", top_k=k
    )
    assert metrics.scores(logits, labels, names(logits))["top5"] == pytest.approx(expected.item())


def test_calibration_error_is_that_of_torchmetrics(case):
    logits, labels = case
    expected = multiclass_calibration_error(
        torch.from_numpy(probabilities(logits)), torch.from_numpy(labels), logits.shape[1], n_bins=15, norm="l1"
    )
    assert metrics.scores(logits, labels, names(logits))["ece"] == pytest.approx(expected.item(), abs=1e-5)


def test_rows_of_the_classes_are_those_of_scikit_learn(case):
    logits, labels = case
    found = metrics.scores(logits, labels, names(logits))["per_class"]
    assert [row["class"] for row in found] == names(logits)
    precision, recall, f1, images = precision_recall_fscore_support(labels, logits.argmax(1), zero_division=0)
    for key, expected in (("precision", precision), ("recall", recall), ("f1", f1), ("images", images)):
        np.testing.assert_allclose([row[key] for row in found], expected)


def test_a_class_without_images_counts_in_no_mean():
    labels = np.array([0, 0, 2, 2, 2])
    logits = np.eye(4)[[0, 1, 2, 2, 3]]
    found = metrics.scores(logits, labels, list("abcd"))
    assert [row["images"] for row in found["per_class"]] == [2, 0, 3, 0]
    assert found["balanced_accuracy"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    predicted = logits.argmax(1)
    assert found["macro_f1"] == pytest.approx(f1_score(labels, predicted, average="macro", labels=[0, 2]))
    assert np.sum(found["confusion"]) == 5


def test_huge_logits_stay_finite():
    logits = np.array([[5e4, -5e4], [-5e4, 5e4]], dtype=np.float32)
    found = metrics.scores(logits, np.array([0, 0]), ["a", "b"])
    assert found["nll"] == pytest.approx(5e4)
    assert found["brier"] == pytest.approx(1.0)


def test_logits_that_are_no_numbers_are_no_fault_of_ours():
    """A diverged training leaves them; its scores are bad, and may be said so."""
    logits = np.full((4, 3), np.nan, dtype=np.float32)
    try:
        found = metrics.scores(logits, np.array([0, 1, 2, 0]), ["a", "b", "c"])
    except UserError as error:
        assert "nan" in str(error).lower() or "finite" in str(error)
    else:
        assert found["num_images"] == 4


@pytest.mark.parametrize(
    ("successes", "trials"), [(0, 9), (9, 9), (1, 1), (0, 1), (37, 100), (9_876, 10_000), (5, 450)]
)
def test_wilson_interval_is_that_of_scipy(successes, trials):
    expected = binomtest(successes, trials).proportion_ci(0.95, method="wilson")
    assert metrics.wilson_interval(successes, trials) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_the_scores_hold_the_interval_of_their_accuracy(case):
    logits, labels = case
    found = metrics.scores(logits, labels, names(logits), "sigmoid")
    correct = int((logits.argmax(1) == labels).sum())
    expected = binomtest(correct, len(labels)).proportion_ci(0.95, method="wilson")
    assert (found["top1_low"], found["top1_high"]) == pytest.approx((expected.low, expected.high))
    assert found["top1_low"] < found["top1"] < found["top1_high"] or found["top1"] in (0.0, 1.0)


@pytest.mark.parametrize("decimals", [6, 0])  # none: many logits are equal
def test_scores_of_several_labels_are_those_of_scikit_learn(decimals: int) -> None:
    draw = np.random.default_rng(1)
    labels = draw.random((200, 5)) < [0.5, 0.1, 0.9, 0.3, 0.0]
    logits = (draw.normal(size=(200, 5)) + 2 * labels - 1).round(decimals)
    found = metrics.scores(logits, labels, list("abcde"), "sigmoid")
    there, said = labels[:, :4], logits[:, :4] > 0
    expected = [average_precision_score(labels[:, c], logits[:, c]) for c in range(4)]
    assert [row["average_precision"] for row in found["per_class"]] == [*map(pytest.approx, expected), None]
    assert found["mean_average_precision"] == pytest.approx(np.mean(expected))
    assert found["macro_f1"] == pytest.approx(f1_score(there, said, average="macro"))
    assert found["micro_f1"] == pytest.approx(f1_score(labels, logits > 0, average="micro", zero_division=0))
    precision, recall, _, images = precision_recall_fscore_support(there, said)
    for row, *values in zip(found["per_class"], precision, recall, images, strict=False):
        assert [row["precision"], row["recall"], row["images"]] == pytest.approx(values)
    probabilities = 1 / (1 + np.exp(-logits))
    assert found["nll"] == pytest.approx(log_loss(labels.ravel().astype(int), probabilities.ravel()))
    assert found["exact_match"] == pytest.approx((labels == (logits > 0)).all(1).mean())
    assert found["exact_match_low"] < found["exact_match"] < found["exact_match_high"]
