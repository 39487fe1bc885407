"""Agreement by hand, against scikit-learn, and what the galleries show."""

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from vit.report import agreement
from vit.report.results import FirstSeeds

A = np.array([1, 1, 1, 1, 0, 0, 1, 0], dtype=float)
B = np.array([1, 0, 0, 1, 0, 1, 0, 0], dtype=float)


def test_kappa_is_that_of_scikit_learn():
    assert agreement.kappa(A, B) == pytest.approx(cohen_kappa_score(A, B))
    assert agreement.kappa(A, A) == 1
    assert agreement.kappa(np.ones(4), np.ones(4)) == 1
    independent = np.random.default_rng(0).random((2, 50_000)) < 0.9
    assert agreement.kappa(*independent.astype(float)) == pytest.approx(0, abs=0.03)


def test_pairs_hold_every_pair_and_what_only_one_of_the_first_seeds_knows(make_run):
    full = {"a": [make_run(A, "a", 0), make_run(A, "a", 1)], "b": [make_run(B, "b", 0), make_run(B, "b", 1)]}
    (row,) = agreement.of_pairs(full)
    assert (row.a, row.b) == ("a", "b")
    assert row.kappa == pytest.approx(agreement.kappa(A, B))
    assert row.same_prediction == 0.5
    assert row.first_seeds == FirstSeeds(seed_a=0, seed_b=0, only_a=3, only_b=1)
    assert agreement.between_seeds(full) == {"a": 1.0, "b": 1.0}
    assert agreement.between_seeds({"a": full["a"][:1]}) == {"a": None}


def test_galleries_show_what_all_seeds_say_and_the_most_confident_first(make_run):
    half = A.copy()
    half[1] = 0  # one seed of a errs there
    left = [make_run(A, "a", 0), make_run(half, "a", 1)]
    shown = agreement.galleries(left, [make_run(B, "b", 0), make_run(B, "b", 1)])
    assert [row.id for row in shown.only_a] == ["test/6.png", "test/2.png"]
    assert [row.id for row in shown.only_b] == ["test/5.png"]
    assert [row.id for row in shown.neither] == ["test/7.png", "test/4.png"]
    first = shown.only_a[0]
    assert first.label == 0 and first.a.prediction == 0 and first.b.prediction == 1
    assert 0.8 < first.a.confidence < 1
