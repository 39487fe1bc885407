"""What the tests of all pairs of models decide together: who is better, by how much, and what is not known.

The pair that a reader asks about is tested first, at most of the level; the others share the rest by Holm's method
(1979), or have the whole level once the first is found: the chance of any false finding stays at the level (a graph of
two nodes, Bretz et al. 2009, doi:10.1002/sim.3495).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from .results import Outcome, Pair
from .statistics import FIRM_SEEDS, LEVEL, Interval, PairedTest, paired_test

FIRST_SHARE = 0.8  # of the level, for the first pair where there are others


@dataclass(frozen=True)
class Verdict:
    """What is decided of a pair a, b, and the interval of a - b that goes with it.

    `better_by_more` and `better_by_less` than the margin, which `better` leaves open; `as_good` within the margin, by
    two one-sided tests (Schuirmann 1987), whose interval is of confidence 1 - 2 level. `winner` is None without one.
    """

    winner: str | None
    outcome: Outcome
    low: float
    high: float
    level: float
    p_value: float | None
    p_adjusted: float | None


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust the p-values of several tests so that the chance of any false finding stays at the level (Holm 1979)."""
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = largest
    return adjusted


def adjusted_p_values(tests: Sequence[PairedTest], first: int | None) -> list[float | None]:
    """Return the p-value of each test, adjusted for all; None where nothing was tested."""
    p_values = {i: test.p_value for i, test in enumerate(tests) if test.p_value is not None}
    leader = p_values.pop(first) if first in p_values and len(p_values) > 1 else None
    adjusted: dict[int, float] = dict(zip(p_values, holm(list(p_values.values())), strict=True))
    if leader is not None and first is not None:
        leader = min(1.0, leader / FIRST_SHARE)
        adjusted = {i: _behind(leader, p, min(tests[i].seeds)) for i, p in adjusted.items()} | {first: leader}
    return [adjusted.get(i) for i in range(len(tests))]


def _behind(leader: float, p_value: float, seeds: int) -> float:
    """Return the p-value of another pair: found after the first, or by what the first leaves of the level.

    Two seeds tell too little for a level that small.
    """
    after = max(leader, p_value)
    return after if seeds < FIRM_SEEDS else min(after, p_value / (1 - FIRST_SHARE))


def decide(
    tests: Mapping[tuple[str, str], PairedTest], first: tuple[str, str] | None, margin: float
) -> dict[tuple[str, str], Verdict]:
    """Return the verdict of every pair; `first` is the one that is asked about, `margin` the difference that matters.

    Intervals of the others are simultaneous (Bonferroni), and begin or end at 0 where the order of tests decides
    otherwise than they alone.
    """
    pairs = list(tests)
    place = pairs.index(first) if first else None
    others = sum(test.decides for pair, test in tests.items() if pair != first)
    adjusted = adjusted_p_values(list(tests.values()), place)
    verdicts = {}
    for (pair, test), p_adjusted in zip(tests.items(), adjusted, strict=True):
        leads = pair == first
        level = LEVEL * (FIRST_SHARE if leads and others else 1.0) / (1 if leads else max(1, others))
        verdicts[pair] = _verdict(pair, test, p_adjusted, level, margin)
    return verdicts


def pair_rows(
    values: Mapping[str, np.ndarray], first: tuple[str, str] | None, margin: float, folds: int = 0
) -> list[Pair]:
    """Return a row a pair of models, from whether each was right [S, N]; the `first` is tested first."""
    tests = {pair: paired_test(values[pair[0]], values[pair[1]], folds) for pair in combinations(values, 2)}
    leading = next((pair for pair in tests if first and set(pair) == set(first)), None)
    verdicts = decide(tests, leading, margin)
    return [pair_row(pair, tests[pair], verdicts[pair], margin) for pair in tests]


def pair_row(pair: tuple[str, str], test: PairedTest, verdict: Verdict, margin: float) -> Pair:
    """Return what a report tells of a pair, with what it could have found and what finding the margin takes."""
    return Pair(
        a=pair[0],
        b=pair[1],
        difference=test.difference,
        seeds=test.seeds,
        verdict=verdict.outcome,
        winner=verdict.winner,
        low=verdict.low,
        high=verdict.high,
        level=verdict.level,
        p_value=verdict.p_value,
        p_adjusted=verdict.p_adjusted,
        detectable=test.detectable(verdict.level) if test.decides else None,
        needed=test.needed(margin, verdict.level) if test.decides else None,
    )


def _verdict(pair: tuple[str, str], test: PairedTest, p_adjusted: float | None, level: float, margin: float) -> Verdict:
    if p_adjusted is None:
        bounds = test.interval()
        return Verdict(None, "not_tested", bounds.low, bounds.high, LEVEL, None, None)
    outcome: Outcome
    if p_adjusted < LEVEL:
        bounds, winner = _one_side(test.interval(level), test.difference), pair[0 if test.difference > 0 else 1]
        nearest, farthest = sorted((abs(bounds.low), abs(bounds.high)))
        outcome = "better_by_more" if nearest > margin else "better_by_less" if farthest < margin else "better"
        return Verdict(winner, outcome, bounds.low, bounds.high, level, test.p_value, p_adjusted)
    narrow, bounds = test.interval(2 * level), test.interval(level)
    if narrow.is_within(margin):
        return Verdict(None, "as_good", narrow.low, narrow.high, 2 * level, test.p_value, p_adjusted)
    low, high = min(bounds.low, 0.0), max(bounds.high, 0.0)
    return Verdict(None, "not_known", low, high, level, test.p_value, p_adjusted)


def _one_side(bounds: Interval, difference: float) -> Interval:
    """Return the bounds without what lies beyond 0 from the difference."""
    return (
        Interval(max(bounds.low, 0.0), bounds.high) if difference > 0 else Interval(bounds.low, min(bounds.high, 0.0))
    )
