"""What to take follows from the tests of all pairs and from costs, and is told as far as these decide it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hand_made_results import DATA, model, pair, results

from vit.report import wording
from vit.report.recommendation import few_labels, near_a_tenth, recommendations
from vit.report.recommendation_wording import advice
from vit.report.results import Accuracy, FewLabels, FractionRow, ModelRow, Outcome, Pair, Recommendation, Results
from vit.report.runs import Run

TOP1 = {"net": 0.90, "trans": 0.88, "wide": 0.87, "deep": 0.60}
LATENCY = {"net": 4.0, "trans": 2.0, "wide": 8.0, "deep": 1.0}
TRAINS = {"net": 200.0, "trans": 400.0, "wide": 100.0, "deep": 800.0}
CLEAR: Outcome = "better_by_more"
LESS: Outcome = "better_by_less"
BETTER: Outcome = "better"
SAME: Outcome = "as_good"
OPEN: Outcome = "not_known"
LONE: Outcome = "not_tested"
Decided = dict[str, Outcome]  # by the names of both


def timed(name: str, top1: float, latency: float, trains: float, spread: float = 0.1) -> ModelRow:
    return replace(
        model(name, "vit" if name == "trans" else "cnn", top1),
        latency_ms=latency,
        latency_ms_low=latency * (1 - spread),
        latency_ms_high=latency * (1 + spread),
        train_images_per_second=trains,
        train_images_per_second_low=trains * (1 - spread),
        train_images_per_second_high=trains * (1 + spread),
    )


def rows(names: Sequence[str], top1: dict[str, float], decided: Decided, turned: bool = False) -> list[Pair]:
    """Return a row a pair; `turned` has the names the other way round, as the order of recipes would."""
    found = []
    for a, b in combinations(names, 2):
        outcome = decided.get(f"{a} {b}") or decided[f"{b} {a}"]
        first, second = (b, a) if turned else (a, b)
        difference = round(top1[first] - top1[second], 6)
        winner = (first if difference > 0 else second) if outcome.startswith("better") else None
        lone = {"seeds": (1, 1)} if outcome == "not_tested" else {}
        found.append(pair(first, second, outcome, difference, winner, **lone))
    return found


def made(decided: Decided, turned: bool = False, few: FewLabels | None = None, **more: Any) -> Results:
    """Return results of the models that `decided` names, with their recommendations."""
    names = [name for name in TOP1 if any(name in key.split() for key in decided)]
    top1 = TOP1 | more.get("top1", {})
    latency, trains = LATENCY | more.get("latency", {}), TRAINS | more.get("trains", {})
    models = [timed(name, top1[name], latency[name], trains[name]) for name in names]
    fractions = more.get("fractions", [])
    pairs = rows(names, top1, decided, turned)
    found = recommendations(models, pairs, few, fractions, margin=0.01)
    return results(
        *pairs,
        models=models,
        rivals=("trans", "net") if {"trans", "net"} <= set(names) else tuple(names[:2]),
        data_efficiency=fractions,
        few_labels=few,
        recommendations=found,
    )


def facts(row: Recommendation) -> tuple[str, str | None, str, str]:
    return row.ground, row.model, " ".join(row.among), " ".join(row.undecided)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    ("decided", "accurate", "fastest"),
    [
        pytest.param({"net trans": CLEAR}, ("ahead", "net", "net", ""), ("ahead", "net", "net", ""), id="a winner"),
        pytest.param({"net trans": BETTER}, ("ahead", "net", "net", ""), ("ahead", "net", "net", ""), id="by how much"),
        pytest.param(
            {"net trans": LESS}, ("ahead", "net", "net", ""), ("as_good", "trans", "net trans", ""), id="by too little"
        ),
        pytest.param(
            {"net trans": SAME},
            ("as_good", "trans", "net trans", ""),
            ("as_good", "trans", "net trans", ""),
            id="as good",
        ),
        pytest.param({"net trans": LONE}, ("not_tested", None, "", ""), ("not_tested", None, "", ""), id="one seed"),
        pytest.param(
            {"net trans": OPEN, "net wide": CLEAR, "trans wide": OPEN},
            ("not_known", "net", "net", "trans"),
            ("not_known", "net", "net", ""),
            id="not known, and measured two points apart",
        ),
        pytest.param(
            {"net trans": CLEAR, "net wide": OPEN, "trans wide": CLEAR},
            ("ahead", "net", "net", ""),
            ("ahead", "net", "net", ""),
            id="ahead of the last by way of the second",
        ),
        pytest.param(
            {"net trans": SAME, "net wide": SAME, "trans wide": OPEN},
            ("as_good", "net", "net", "trans wide"),
            ("as_good", "net", "net", ""),
            id="one is as good as either of two that are not",
        ),
        pytest.param(
            {
                "net trans": SAME,
                "net wide": LESS,
                "trans wide": SAME,
                **dict.fromkeys(["deep net", "deep trans"], CLEAR),
            }
            | {"deep wide": CLEAR},
            ("as_good", "trans", "net trans", ""),
            ("as_good", "trans", "net trans wide", ""),
            id="the third is found worse, but as good within the margin",
        ),
    ],
)
def test_what_is_decided(decided: Decided, turned: bool, accurate: tuple[str, ...], fastest: tuple[str, ...]) -> None:
    found = made(decided, turned).recommendations
    assert [row.aim for row in found] == ["most_accurate", "as_accurate_and_fastest", "few_labels"]
    assert [facts(row) for row in found[:2]] == [accurate, fastest]


def test_winner_and_loser_are_not_exchanged() -> None:
    """The faster model wins where it is the more accurate one, and nothing else speaks for it."""
    for names, best in (({"net": 0.90, "trans": 0.88}, "net"), ({"net": 0.88, "trans": 0.90}, "trans")):
        for turned in (False, True):
            assert made({"net trans": CLEAR}, turned, top1=names).recommendations[0].model == best


def test_a_difference_found_alone_but_not_among_all_decides_nothing() -> None:
    """p is 0.02 and 0.06 adjusted: `verdicts` says not known, and a recommendation looks at no p-value."""
    decided: Decided = {"net trans": OPEN}
    found = made(decided)
    row = replace(found.pairs[0], p_value=0.02, p_adjusted=0.06)
    again = recommendations(found.models, [row], None, [], 0.01)
    assert [each.ground for each in again[:2]] == ["not_known", "not_known"]


@pytest.mark.parametrize(
    ("latency", "trains", "taken", "than"),
    [
        ({"net": 4.0, "trans": 2.0}, {}, "trans", "net"),
        ({"net": 2.0, "trans": 4.0}, {}, "net", "trans"),
        ({"net": 2.0, "trans": 2.1}, {"net": 100.0, "trans": 400.0}, "trans", "net"),
        ({"net": 2.1, "trans": 2.0}, {"net": 400.0, "trans": 100.0}, "net", "trans"),
        ({"net": 2.0, "trans": 4.0}, {"net": 100.0, "trans": 400.0}, "net", "trans"),
    ],
)
def test_cheaper_is_what_answers_sooner_or_else_what_trains_faster(
    latency: dict[str, float], trains: dict[str, float], taken: str, than: str
) -> None:
    first, second, _ = made({"net trans": SAME}, latency=latency, trains=trains).recommendations
    for row in (first, second):
        assert row.model == taken and row.pace and row.pace.model == than
        assert row.pace.answers.ratio == pytest.approx(latency[than] / latency[taken])
        assert row.pace.answers.low == pytest.approx(latency[than] * 0.9 / (latency[taken] * 1.1))
        assert row.pace.answers.high == pytest.approx(latency[than] * 1.1 / (latency[taken] * 0.9))
        assert row.pace.trains.ratio == pytest.approx((TRAINS | trains)[taken] / (TRAINS | trains)[than])


def test_the_speed_is_told_beside_the_model_whose_rounds_overlap() -> None:
    """ "wide" is slower than "net" by the median, and yet the one that may answer as soon as "trans"."""
    found = made({"net trans": SAME, "net wide": SAME, "trans wide": SAME})
    models = [replace(row, latency_ms_low=1.0) if row.name == "wide" else row for row in found.models]
    pace = recommendations(models, found.pairs, None, [], 0.01)[0].pace
    assert pace and pace.model == "wide" and pace.answers.low < 1 < pace.answers.ratio


def test_the_fastest_of_all_is_not_taken_where_it_is_worse() -> None:
    every: Decided = {f"{a} {b}": SAME for a, b in combinations(("net", "trans", "wide"), 2)}
    decided: Decided = {**every, "net deep": CLEAR, "trans deep": CLEAR, "wide deep": CLEAR}
    found = made(decided, latency={"trans": 5.0}).recommendations
    assert [row.model for row in found[:2]] == ["net", "net"] and "deep" not in found[1].among
    assert found[1].faster == []
    unsure: Decided = {**every, "net deep": BETTER, "trans deep": OPEN, "wide deep": OPEN}
    assert made(unsure).recommendations[1].faster == ["deep"], "less accurate, but perhaps by less than the margin"
    assert made(unsure, latency={"deep": 1.7}).recommendations[1].faster == [], "their rounds overlap"


def test_models_of_one_seed_are_left_out_of_the_choice_and_named() -> None:
    decided: Decided = {"net trans": LONE, "net wide": LONE, "trans wide": CLEAR}
    found = made(decided)
    pairs = [replace(row, seeds=tuple(1 if name == "net" else 3 for name in (row.a, row.b))) for row in found.pairs]
    rows = recommendations(found.models, pairs, None, [], 0.01)
    assert [(row.model, row.untested) for row in rows[:2]] == [("trans", ["net"])] * 2
    told = advice(replace(found, pairs=pairs, recommendations=rows))
    assert all(each.reason.endswith("Left out, because untested: net has one seed.") for each in told[:2])
    assert told[0].reason.startswith("More accurate than wide by more than the margin")


def test_models_timed_on_different_devices_are_not_ranked_by_cost() -> None:
    found = made({"net trans": SAME})
    models = [found.models[0], replace(found.models[1], timed_on=replace(found.models[1].timed_on, device="H100"))]
    rows = recommendations(models, found.pairs, None, [], 0.01)
    assert [(row.ground, row.model, row.timed_alike) for row in rows[:2]] == [("as_good", None, False)] * 2
    told = advice(replace(found, models=models, recommendations=rows))[0]
    assert told.take == "No difference" and "timed on different devices" in told.reason


def test_there_is_nothing_to_choose_from_one_model() -> None:
    assert recommendations([model("net", "cnn", 0.9)], [], None, [], 0.01) == []


def test_ten_models_are_not_all_named() -> None:
    names = [f"m{i}" for i in range(10)]
    models = [timed(name, 0.9 - 0.0001 * i, 2.0 * 1.3**i, 100.0) for i, name in enumerate(names)]
    top1 = {row.name: row.top1.mean for row in models}
    decided: Decided = {f"{a} {b}": SAME for a, b in combinations(names, 2)}
    pairs = rows(names, top1, decided)
    found = results(*pairs, models=models, rivals=("m0", "m1"))
    found = replace(found, recommendations=recommendations(models, pairs, None, [], 0.01))
    assert len(found.recommendations[0].among) == 10
    assert "m0, m1, m2, m3 and 6 more; so the cost decides. m0 answers 1.3 times as fast as m1, the next fastest" in (
        advice(found)[0].reason
    )


@pytest.mark.parametrize(
    ("fractions", "nearest"),
    [
        ([1.0], None),
        ([0.25, 0.5, 1.0], None),
        ([0.01, 1.0], None),
        ([0.05, 0.2, 1.0], 0.05),
        ([0.05, 0.1, 0.2, 1.0], 0.1),
        ([0.04, 0.08, 0.16, 0.32], 0.04),
        ([0.1, 0.5], 0.1),
    ],
)
def test_the_fraction_nearest_to_a_tenth_of_the_largest(fractions: list[float], nearest: float | None) -> None:
    assert near_a_tenth(fractions) == nearest


def test_the_tests_of_a_tenth_are_of_its_own_runs(make_run: Callable[..., Run]) -> None:
    """On all images "a" is the better one, on a tenth of them "b"; "c" has no run on the largest fraction."""
    draw = np.random.default_rng(0)
    share = {("a", 1.0): 0.9, ("b", 1.0): 0.7, ("a", 0.1): 0.5, ("b", 0.1): 0.8, ("c", 0.1): 0.95}
    groups = {
        (name, fraction): [make_run(draw.random(400) < right, name, seed, fraction) for seed in range(3)]
        for (name, fraction), right in share.items()
    }
    found = few_labels(groups, ["a", "b"], np.arange(400), ("a", "b"), 0.01)
    assert found is not None and (found.fraction, found.images) == (0.1, 10)
    (row,) = found.pairs
    assert (row.a, row.b, row.verdict, row.winner) == ("a", "b", "better_by_more", "b")
    assert row.difference == pytest.approx(-0.3, abs=0.1) and row.seeds == (3, 3)
    assert (
        few_labels({key: groups[key] for key in groups if key[1] == 1}, ["a", "b"], np.arange(400), None, 0.01) is None
    )
    assert few_labels(groups, ["a"], np.arange(400), None, 0.01) is None


def of_few(decided: Decided, top1: dict[str, float]) -> tuple[FewLabels, list[FractionRow]]:
    """Return the tests of a tenth, and the accuracies on it and on all images."""
    few = FewLabels(0.1, 100, rows(list(top1), top1, decided))
    accuracy = lambda value: Accuracy(value, value - 0.02, value + 0.02, 0.01, [value] * 3)  # noqa: E731
    fractions = [FractionRow(name, 0.1, 100, accuracy(value)) for name, value in top1.items()]
    return few, fractions + [FractionRow(name, 1.0, 1_000, accuracy(TOP1[name])) for name in top1]


def test_few_labels_have_tests_and_a_best_of_their_own() -> None:
    few, fractions = of_few({"net trans": CLEAR}, {"net": 0.55, "trans": 0.70})
    found = made({"net trans": CLEAR}, few=few, fractions=fractions)
    assert [facts(row) for row in found.recommendations] == [
        ("ahead", "net", "net", ""),
        ("ahead", "net", "net", ""),
        ("ahead", "trans", "trans", ""),
    ]
    assert found.recommendations[2].beside == few.pairs[0]
    told = advice(found)[2]
    assert (told.aim, told.take) == ("Best with a tenth of the labels (100 of 1,000)", "trans")
    assert told.reason == (
        "More accurate than net by more than the margin of 1 point: +15.0 points [+13.7, +16.1] (95 % interval), "
        "p = 0.012."
    )
    assert not any("With 100 training images" in sentence for sentence in wording.findings(found)), "told in the table"


def test_few_labels_of_few_models_are_not_measured() -> None:
    few, fractions = of_few({}, {"net": 0.55})
    found = made({"net trans": CLEAR}, few=few, fractions=fractions)
    assert found.recommendations[2].ground == "not_measured"
    told = advice(made({"net trans": CLEAR}))[2]
    assert (told.aim, told.take) == ("Best with a tenth of the labels", "Not measured")
    assert "fractions=[0.1,1.0]" in told.reason


AHEAD = "+2.0 points [+0.9, +3.3] (95 % interval), p = 0.012"
SAME_CHOICE = "The same models are as accurate as the best within the margin of 1 point, so the choice is the same."
CHEAPER = "trans answers 2.0 times as fast as net: in 2 [1.8, 2.2] against 4 [3.6, 4.4] ms."


@pytest.mark.parametrize(
    ("decided", "more", "told"),
    [
        pytest.param(
            {"net trans": CLEAR},
            {},
            [
                ("net", f"More accurate than trans by more than the margin of 1 point: {AHEAD}."),
                ("net", "No other is known to be as accurate within the margin of 1 point."),
            ],
            id="a winner",
        ),
        pytest.param(
            {"net trans": BETTER},
            {},
            [
                (
                    "net",
                    f"More accurate than trans: {AHEAD}; whether by more than the margin of 1 point is not known.",
                ),
                (
                    "net",
                    "No other is known to be as accurate within the margin of 1 point. trans answers sooner; that it "
                    "is as accurate within the margin of 1 point is not known.",
                ),
            ],
            id="by how much is open",
        ),
        pytest.param(
            {"net trans": LESS},
            {},
            [
                ("net", f"More accurate than trans, though by less than the margin of 1 point: {AHEAD}."),
                (
                    "trans",
                    "As accurate as the best within the margin of 1 point: net and trans; so the cost decides. "
                    + CHEAPER,
                ),
            ],
            id="by too little",
        ),
        pytest.param(
            {"net trans": SAME},
            {},
            [
                (
                    "No difference: take the cheaper, trans",
                    "As accurate as the best within the margin of 1 point: net and trans; so the cost decides. "
                    + CHEAPER,
                ),
                (
                    "trans",
                    SAME_CHOICE,
                ),
            ],
            id="as good",
        ),
        pytest.param(
            {"net trans": SAME},
            {"latency": {"net": 2.1}},
            [
                (
                    "No difference: take the cheaper, trans",
                    "As accurate as the best within the margin of 1 point: net and trans; so the cost decides. The "
                    "latencies of trans and net overlap (2 [1.8, 2.2] and 2.1 [1.89, 2.31] ms); trans trains 2.0 times "
                    "as fast.",
                ),
            ],
            id="as good, and training decides",
        ),
        pytest.param(
            {"net trans": SAME},
            {"latency": {"net": 2.1}, "trains": {"net": 390.0}},
            [
                (
                    "No difference: take trans or net",
                    "As accurate as the best within the margin of 1 point: net and trans; so the cost decides. The "
                    "latencies of trans and net overlap (2 [1.8, 2.2] and 2.1 [1.89, 2.31] ms), and so do their "
                    "training speeds: either will do.",
                ),
                (
                    "trans or net",
                    SAME_CHOICE,
                ),
            ],
            id="as good, and as cheap",
        ),
        pytest.param(
            {"net trans": OPEN},
            {"top1": {"trans": 0.895}},
            [
                (
                    "Not known: take the cheaper, trans",
                    "These images and seeds cannot tell whether net or trans is the most accurate; until more do, the "
                    f"cost may decide. {CHEAPER}",
                ),
                (
                    "Not known: take the cheaper, trans",
                    "Which are as accurate as the best within the margin of 1 point is not known, so the choice is "
                    "the same.",
                ),
            ],
            id="not known",
        ),
        pytest.param(
            {"net trans": OPEN},
            {},
            [
                (
                    "Not known: net is ahead so far",
                    "These images and seeds cannot tell whether net or trans is the most accurate; all but net were "
                    "measured more than 1 point below the highest.",
                ),
            ],
            id="not known, and far apart",
        ),
        pytest.param(
            {"net trans": OPEN, "net wide": OPEN, "trans wide": OPEN},
            {"top1": {"trans": 0.895}},
            [
                (
                    "Not known: take the cheaper, trans",
                    "These images and seeds cannot tell whether net, trans or wide is the most accurate; the cost may "
                    f"decide among net and trans, measured within 1 point of the highest. {CHEAPER}",
                ),
            ],
            id="not known, and one of three far off",
        ),
        pytest.param(
            {"net trans": SAME, "net wide": SAME, "trans wide": OPEN},
            {},
            [
                (
                    "net",
                    "net is as accurate as the best within the margin of 1 point, whichever that is. trans and wide "
                    "were not told from the best either, and may be more or less accurate.",
                ),
                (
                    "net",
                    "net is as accurate as the best within the margin of 1 point, whichever that is. trans answers "
                    "sooner; that it is as accurate within the margin of 1 point is not known.",
                ),
            ],
            id="one as good as two that are not",
        ),
        pytest.param(
            {"net trans": LONE},
            {},
            [
                (
                    "Not decided",
                    "One seed decides nothing: another training may turn the order. Three of each can decide: seeds=3.",
                ),
                ("Not decided", "Which are as accurate is not decided."),
            ],
            id="one seed",
        ),
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_the_sentences(decided: Decided, turned: bool, more: dict[str, Any], told: list[tuple[str, str]]) -> None:
    found = made(decided, turned, **more)
    if turned:  # the interval of the made rows is not symmetric
        found = replace(found, recommendations=[as_seen_from(row) for row in found.recommendations])
    assert [(each.take, each.reason) for each in advice(found)[: len(told)]] == told


def as_seen_from(row: Recommendation) -> Recommendation:
    """Return a recommendation whose test has the interval of the model's lead, whichever way round it was made."""
    if row.beside is None or row.beside.a == row.model:
        return row
    lead = -row.beside.difference
    return replace(row, beside=replace(row.beside, low=-(lead + 0.013), high=-(lead - 0.011)))


def test_the_next_model_is_named_with_the_adjusted_p_value_where_there_are_more() -> None:
    found = made({"net trans": CLEAR, "net wide": CLEAR, "trans wide": OPEN})
    assert advice(found)[0].reason == (
        "More accurate than every other model, and than trans, the next, by more than the margin of 1 point: "
        "+2.0 points [+0.9, +3.3] (95 % interval), p = 0.012 (0.015 adjusted for 3 tests)."
    )


def test_the_fastest_that_lies_behind_is_told_how_far() -> None:
    decided: Decided = {"net trans": CLEAR, "net wide": LESS, "trans wide": OPEN}
    found = made(decided, latency={"wide": 1.0}, top1={"wide": 0.897})
    told = advice(found)[1]
    assert told.take == "wide"
    assert told.reason.endswith(
        "Beside net it is −0.3 points [−1.6, +0.8] (95 % interval), p = 0.012 (0.015 adjusted for 3 tests)."
    )


def test_a_share_of_labels_is_called_a_tenth_where_it_is_one() -> None:
    few, fractions = of_few({"net trans": CLEAR}, {"net": 0.55, "trans": 0.70})
    found = made({"net trans": CLEAR}, few=few, fractions=fractions)
    for images, aim in ((100, "a tenth of the labels (100 of"), (160, "about a tenth of the labels (160 of")):
        assert aim in advice(replace(found, few_labels=replace(few, images=images)))[2].aim
    assert DATA.training_images == 1_000
