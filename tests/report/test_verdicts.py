"""What the tests of several pairs decide together, on tests whose p-values are set by hand."""

import numpy as np
import pytest
from scipy import stats

from vit.report import robustness
from vit.report.spread import Spread
from vit.report.statistics import LEVEL, PairedTest
from vit.report.verdicts import Verdict, adjusted_p_values, decide, pair_row

MARGIN = 0.01


def paired(difference: float, p_value: float, seeds: tuple[int, int] = (3, 3)) -> PairedTest:
    """Return a test of a difference that has this p-value, of so many images that the variance is known."""
    deviation = abs(difference) / stats.norm.isf(p_value / 2)
    return PairedTest(difference, Spread(deviation**2, 0.0, 0.0, 0.0, 10**9), seeds)


def alone(test: PairedTest) -> Verdict:
    return decide({("a", "b"): test}, ("a", "b"), MARGIN)["a", "b"]


@pytest.mark.parametrize(
    ("difference", "p_value", "outcome"),
    [
        (0.03, 0.02, "better"),
        (0.05, 1e-6, "better_by_more"),
        (0.0004, 0.045, "better_by_less"),
        (0.03, 0.2, "not_known"),
        (0.001, 0.5, "as_good"),
        (0.008, 0.08, "not_known"),
    ],
)
@pytest.mark.parametrize("sign", [1, -1])
def test_a_pair_alone(difference: float, p_value: float, outcome: str, sign: int) -> None:
    found = alone(paired(sign * difference, p_value))
    assert found.outcome == outcome
    assert found.winner == (("a" if sign > 0 else "b") if outcome.startswith("better") else None)
    assert found.p_value == found.p_adjusted == pytest.approx(p_value, rel=1e-3)
    assert (found.low > 0 or found.high < 0) == (found.winner is not None)
    assert found.level == (2 * LEVEL if outcome == "as_good" else LEVEL)


@pytest.mark.parametrize("seeds", [(1, 5), (5, 1), (1, 1)])
def test_one_seed_of_either_is_not_tested_however_far_apart_they_are(seeds: tuple[int, int]) -> None:
    test = paired(0.2, 1e-9, seeds)
    found = alone(test)
    assert (found.winner, found.outcome, found.p_value, found.p_adjusted) == (None, "not_tested", None, None)
    row = pair_row(("a", "b"), test, found, MARGIN)
    assert row.verdict == "not_tested" and row.detectable is None and row.needed is None


def several(first: float, *others: float, seeds: tuple[int, int] = (3, 3)) -> list[Verdict]:
    """Return the verdicts of pairs of these p-values, the first of them the one that is asked about."""
    tests = {(str(i), "x"): paired(0.02, p, seeds) for i, p in enumerate((first, *others))}
    return list(decide(tests, ("0", "x"), MARGIN).values())


def test_the_first_pair_has_most_of_the_level_and_the_others_wait_for_it() -> None:
    found = several(0.039, 0.001, 0.02, 0.04)
    assert [verdict.winner for verdict in found] == ["0", "1", "2", "3"], "Holm's method after the first"
    assert found[0].p_adjusted == pytest.approx(0.039 / 0.8, rel=1e-3)
    assert [v.p_adjusted for v in found[1:]] == pytest.approx([0.015, 0.039 / 0.8, 0.039 / 0.8], rel=1e-3)
    found = several(0.041, 0.001, 0.02, 0.04)
    assert [verdict.winner for verdict in found] == [None, "1", None, None], "0.003 of the 0.01 that is left"
    assert [v.p_adjusted for v in found[1:]] == pytest.approx([0.015, 0.0513, 0.0513], rel=1e-2)


def test_the_row_of_a_pair_holds_its_own_p_value_beside_the_adjusted_one() -> None:
    tests = {("a", "b"): paired(0.02, 0.01), ("a", "c"): paired(0.02, 0.001)}
    verdicts = decide(tests, ("a", "b"), MARGIN)
    for (pair, test), p_value, p_adjusted in zip(tests.items(), (0.01, 0.001), (0.0125, 0.005), strict=True):
        row = pair_row(pair, test, verdicts[pair], MARGIN)
        assert (row.a, row.b, row.difference, row.winner) == (*pair, 0.02, "a")
        assert (row.p_value, row.p_adjusted) == pytest.approx((p_value, p_adjusted), rel=1e-3)


def test_with_two_seeds_the_others_are_found_after_the_first_alone() -> None:
    assert [v.winner for v in several(0.041, 1e-9, seeds=(2, 2))] == [None, None]
    assert [v.winner for v in several(0.039, 1e-9, seeds=(2, 2))] == ["0", "1"]


def test_no_interval_contradicts_its_verdict() -> None:
    draw = np.random.default_rng(0)
    kinds = set()
    for _ in range(300):
        for found in several(*(10 ** draw.uniform(-6, 0, 5))):
            assert not found.low < 0 < found.high if found.winner else found.low <= 0 <= found.high
            assert found.low <= 0.02 <= found.high
            kinds.add((found.winner is not None, 0 in (found.low, found.high)))
    assert {(True, False), (True, True), (False, False)} <= kinds


def test_an_untested_first_pair_leaves_the_level_to_the_others() -> None:
    tests = [paired(0.1, 0.01, (1, 3)), paired(0.1, 0.01), paired(0.1, 0.02)]
    assert adjusted_p_values(tests, 0) == [None, *(pytest.approx(value, rel=1e-3) for value in (0.02, 0.02))]


def looked(right: np.ndarray, corrupted: np.ndarray) -> list[dict]:
    """Return what probing found in the seeds of a model: whether each image is known, and in how many of 10 changes."""
    return [
        {"right": list(a), "right_corrupted": list(b), "corruptions": [{"name": "n", "kind": "k", "top1": [0.5] * 10}]}
        for a, b in zip(right, corrupted, strict=True)
    ]


def test_the_better_one_under_damage_is_named_though_it_keeps_less(make_run) -> None:
    draw = np.random.default_rng(0)
    tables = {"knows_less": (0.47, 3.8), "knows_more": (0.61, 4.9)}
    full = {}
    for name, (clean, count) in tables.items():
        right, corrupted = draw.random((3, 256)) < clean, draw.poisson(count, (3, 256)).clip(0, 10)
        seeds = looked(right, corrupted)
        full[name] = [make_run([True], name, i, probes={"robustness": seed}) for i, seed in enumerate(seeds)]
    row = robustness.of_rivals(full, ("knows_less", "knows_more"), MARGIN)
    assert row is not None and (row.a, row.b, row.winner) == ("knows_less", "knows_more", "knows_more")
    assert -0.2 < row.low < row.difference < row.high < -0.05


def test_the_share_kept_has_an_interval_that_holds_it() -> None:
    draw, held = np.random.default_rng(0), []
    for _ in range(300):
        difficulty = draw.uniform(0.4, 0.9, 256)
        clean = (draw.random((3, 256)) < difficulty).astype(float)
        corrupted = draw.binomial(60, 0.8 * difficulty, (3, 256)) / 60
        found = robustness.kept(clean, corrupted)
        held.append(found.low <= 0.8 <= found.high)
    assert np.mean(held) > 0.92
