"""Answers are the same however few images are looked at together, and large comparisons fit a small machine."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from vit.probabilities import Output, log_probabilities, probabilities
from vit.report import answers
from vit.report.answers import Answers, Rearranged, mean_probabilities, nll_of_images

TOOL = Path(__file__).parents[2] / "tools" / "measure_large_report.py"
GENERATOR = np.random.default_rng(0)
LOGITS = GENERATOR.normal(0, 3, (101, 13)).astype(np.float32)
LABELS = GENERATOR.integers(13, size=101)


class Watched:
    """Logits that tell how many images were asked for at once."""

    shape = LOGITS.shape
    most = 0

    def __getitem__(self, rows: slice) -> np.ndarray:
        found = LOGITS[rows]
        self.most = max(self.most, len(found))
        return found


@pytest.fixture(params=[13, 40, 1_000_000])
def logits(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(answers, "NUMBERS_AT_ONCE", request.param)
    watched = Watched()
    yield watched
    assert watched.most == min(101, request.param // 13)


@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
@pytest.mark.parametrize("temperature", [1.0, 1.37])
def test_blocks_change_no_bit(logits, output: Output, temperature: float) -> None:
    found = Answers.of(logits, LABELS, output, temperature)
    whole = (LOGITS / temperature).astype(np.float64)
    given, own = probabilities(whole, output), (np.arange(101), LABELS)
    assert np.array_equal(found.prediction, whole.argmax(1))
    assert np.array_equal(found.correct, whole.argmax(1) == LABELS)
    assert np.array_equal(found.confidence, given.max(1))
    assert np.array_equal(found.nll, -log_probabilities(whole, output)[own])
    assert np.array_equal(found.brier, (given**2).sum(1) - 2 * given[own] + 1)


def test_blocks_change_no_bit_of_losses_at_a_temperature_and_of_means(logits) -> None:
    whole = LOGITS.astype(np.float64)
    expected = -log_probabilities(whole / 0.7, "softmax")[np.arange(101), LABELS]
    assert np.array_equal(nll_of_images(logits, LABELS, temperature=0.7), expected)
    both = np.mean([probabilities(each, "softmax") for each in (whole, whole / 4)], axis=0)
    assert np.array_equal(np.concatenate([*mean_probabilities([logits, LOGITS / 4])]), both)


def test_rearranged_logits_are_those_of_the_images_and_classes_that_are_asked_for() -> None:
    rows, columns = GENERATOR.permutation(101), GENERATOR.permutation(13)
    found = Rearranged(LOGITS, rows, columns)
    assert found.shape == (101, 13)
    assert np.array_equal(found[:], LOGITS[rows][:, columns])
    assert np.array_equal(found[7:30], LOGITS[rows][7:30, columns])


def test_a_report_holds_no_logits_in_memory(tmp_path: Path) -> None:
    """Four runs of 16 MB of logits each; all of them, and copies in double precision, took more than 300 MiB."""
    size = {"images": 20_000, "validation": 500, "training": 500, "classes": 200, "models": 2, "seeds": 2}
    options = [f"--{name}={value}" for name, value in size.items()]
    told = subprocess.run([sys.executable, TOOL, tmp_path, *options], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    steps = json.loads(told.stdout)["steps"]
    assert steps["compare_runs"]["peak_mib"] - steps["start"]["peak_mib"] < 80
