"""Runs of folds become one run, and statistics of folds hold what they promise, by simulation."""

from dataclasses import replace

import numpy as np
import pytest
from simulated_folds import LEARNERS, VIEWS, draw_data, draw_folds
from sklearn.metrics import balanced_accuracy_score

from vit.errors import UserError
from vit.report.folds import joined_folds
from vit.report.runs import Run, folds_of
from vit.report.spread import spread_of, widened
from vit.report.statistics import accuracy, paired_test

SUMMARY = {
    "seconds": 4.0,
    "epochs": 3,
    "images_seen": 90,
    "training_images": 30,
    "validation_images": 5,
    "validation_top1": 0.5,
    "peak_memory_bytes": 100,
}


@pytest.fixture
def folds(make_run) -> list[Run]:
    """Two seeds of three folds of nine images each, out of order."""
    draw = np.random.default_rng(0)
    return [
        replace(
            make_run(
                draw.random(9) < 0.7,
                seed=seed,
                ids=np.array([f"{fold}-{i}" for i in range(9)]),
                labels=(np.arange(9) + fold) % 3,
                validation=(draw.normal(size=(4 + fold, 3)), np.arange(4 + fold) % 3),
            ),
            recipe={"data": {"name": "folder", "folds": 3, "fold": fold}, "model": {"name": "net"}},
            summary=SUMMARY | {"seconds": 4.0 + fold, "training_images": 30 + fold, "peak_memory_bytes": 100 * fold},
            curve={"seconds": [1.0 + fold, 2.0, 3.0][: 3 - (fold == 2)]},
        )
        for fold in (2, 0, 1)
        for seed in (0, 1)
    ]


def test_the_folds_of_a_seed_are_one_run(folds: list[Run]) -> None:
    first, second = joined_folds(folds)
    assert (first.seed, second.seed) == (0, 1) and folds_of([first]) == 3
    assert first.ids.tolist() == [f"{fold}-{i}" for fold in range(3) for i in range(9)]
    parts = {run.recipe["data"]["fold"]: run for run in folds if run.seed == 0}
    for fold in range(3):
        assert np.array_equal(first.logits[9 * fold : 9 * fold + 9], parts[fold].logits)
        assert np.array_equal(first.labels[9 * fold : 9 * fold + 9], parts[fold].labels)
    assert first.correct().mean() == pytest.approx(np.mean([run.correct().mean() for run in parts.values()]))
    assert first.scores["balanced_accuracy"] == pytest.approx(
        balanced_accuracy_score(first.labels, first.logits.argmax(1))
    )
    assert first.summary["seconds"] == 5.0 and first.summary["training_images"] == 31
    assert first.summary["peak_memory_bytes"] == 200
    assert first.curve == {"seconds": [2.0, 2.0]}
    assert first.validation is not None and list(map(len, first.validation)) == [15, 15]
    assert "fold" not in first.recipe["data"] and first.images is None and first.probes is None


def test_runs_of_one_fold_or_of_none_are_left_as_they_are(folds: list[Run], make_run) -> None:
    of_one = [run for run in folds if run.recipe["data"]["fold"] == 1]
    assert joined_folds(of_one) == of_one
    plain = [make_run([True, False]), make_run([True, True], seed=1)]
    assert joined_folds(plain) == plain


def test_what_cannot_be_joined_is_refused(folds: list[Run], make_run) -> None:
    with pytest.raises(UserError, match="some folds are missing; .*\n  a, fraction 1, seed 1: fold 1"):
        joined_folds(folds[:-1])
    with pytest.raises(UserError, match=r"a \(seed 5\) on a test split, and others by folds"):
        joined_folds([*folds, make_run([True], seed=5)])
    twice = [replace(run, ids=np.array([f"0-{i}" for i in range(9)])) for run in folds]
    with pytest.raises(UserError, match="9 of 27 images are tested in several folds; .*data.groups changed"):
        joined_folds(twice)


def test_folds_widen_the_variance_of_images_alone() -> None:
    assert widened(0) == widened(1) == 1
    assert widened(5) == pytest.approx(1 + 0.2 * 5 / 4) and widened(10) < widened(5) < widened(2)
    draw = np.random.default_rng(0)
    a, b = ((draw.random((3, 200)) < 0.8).astype(float) for _ in range(2))
    plain, by_folds = (spread_of(a.mean(0) - b.mean(0), [a, b], 2.0, folds) for folds in (0, 5))
    assert by_folds.images == pytest.approx(plain.images * widened(5)) and by_folds.seeds == plain.seeds
    assert paired_test(a, b, 5).spread == by_folds
    assert accuracy(a[:1], 5).high > accuracy(a[:1]).high


def test_intervals_of_learners_that_trained_on_overlapping_images_hold() -> None:
    """Two equally good learners of different views, three seeds, five folds; the large one is a tool's."""
    draw = np.random.default_rng(3)
    learn = LEARNERS["random features"]
    alarms, estimates, bounds = [], [], []
    for _ in range(250):
        features, labels = draw_data(80, 0.9, draw)
        folds = draw_folds(labels, 5, draw)
        a, b = ((learn(features[:, view], labels, folds, 3, draw) == labels).astype(float) for view in VIEWS)
        test, of_a = paired_test(a, b, 5), accuracy(a, 5)
        alarms.append(test.spread.p_value(test.difference) < 0.05)
        estimates.append(of_a.mean)
        bounds.append((of_a.low, of_a.high))
    truth = np.mean(estimates)
    held = np.mean([low <= truth <= high for low, high in bounds])
    assert np.mean(alarms) < 0.075
    assert 0.91 < held < 0.99
