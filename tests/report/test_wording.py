"""The sentences of a report follow from the fields that decide them, and say nothing else."""

from dataclasses import replace
from typing import Any, get_args

import pytest
from hand_made_results import MATCHED, TRAINING, model, pair, results

from vit.report import caveats, design, formats, wording
from vit.report.results import (
    CurveFit,
    CurveFits,
    Family,
    Gain,
    LossDifference,
    LossDifferences,
    Pair,
    RobustnessRow,
    Search,
    Selection,
    SettingDifference,
)
from vit.report.selection import rivals_among
from vit.report.statistics import Estimate, Needed
from vit.report.write import asked

ALONE: dict[str, Any] = {"p_adjusted": 0.0123}


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (
            pair("net", "trans", "better_by_more", 0.033, "net", **ALONE),
            "The CNN net (84.3 %) is more accurate than the ViT trans (81.0 %), by more than the margin of 1 point: "
            "+3.3 points [+2.2, +4.6] (95 % interval), p = 0.012.",
        ),
        (
            pair("trans", "net", "better_by_more", -0.033, "net", **ALONE),
            "The CNN net (84.3 %) is more accurate than the ViT trans (81.0 %), by more than the margin of 1 point: "
            "+3.3 points [+2.0, +4.4] (95 % interval), p = 0.012.",
        ),
        (
            pair("net", "trans", "better", 0.033, "net", **ALONE),
            "The CNN net (84.3 %) is more accurate than the ViT trans (81.0 %): +3.3 points [+2.2, +4.6] "
            "(95 % interval), p = 0.012; whether by more than the margin of 1 point is not known.",
        ),
        (
            pair("net", "trans", "better_by_less", 0.033, "net", **ALONE),
            "The CNN net (84.3 %) is more accurate than the ViT trans (81.0 %), but by less than the margin of "
            "1 point: +3.3 points [+2.2, +4.6] (95 % interval), p = 0.012.",
        ),
        (
            pair("net", "trans", "as_good", 0.033, level=0.1, **ALONE),
            "The CNN net (84.3 %) and the ViT trans (81.0 %) are as good within the margin of 1 point: +3.3 points "
            "[+2.2, +4.6] (90 % interval), by two one-sided tests.",
        ),
        (
            pair("net", "trans", "not_known", 0.033, **ALONE),
            "Whether the CNN net (84.3 %) or the ViT trans (81.0 %) is more accurate is not known: +3.3 points "
            "[+2.2, +4.6] (95 % interval), p = 0.012.",
        ),
        (
            pair("net", "trans", "not_tested", 0.033),
            "The CNN net (84.3 %) was right more often than the ViT trans (81.0 %) in these trainings, which decides "
            "nothing: +3.3 points [+2.2, +4.6] (95 % interval over test images alone).",
        ),
        (
            pair("net", "trans", "not_tested", 0.0),
            "The CNN net (84.3 %) and the ViT trans (81.0 %) tied in these trainings, which decides nothing: +0.0 "
            "points [−1.1, +1.3] (95 % interval over test images alone).",
        ),
    ],
)
def test_the_first_sentence(row: Pair, told: str) -> None:
    assert wording.accuracy_sentence(results(row)) == told


def test_the_first_sentence_is_of_its_own_pair_and_tells_the_raw_and_the_adjusted_p() -> None:
    models = [model("net", "cnn", 0.8432), model("trans", "vit", 0.8101), model("other", "cnn", 0.79)]
    rows = [
        pair("net", "other", "better", 0.052, "net", p_value=0.0002),
        pair("net", "trans", "better", 0.033, "net", level=0.04),
        pair("trans", "other", "not_known", 0.02, p_value=0.3, p_adjusted=0.6),
    ]
    assert wording.accuracy_sentence(results(*rows, models=models)) == (
        "The CNN net (84.3 %) is more accurate than the ViT trans (81.0 %): +3.3 points [+2.2, +4.6] (96 % interval), "
        "p = 0.012 (0.015 adjusted for 3 tests); whether by more than the margin of 1 point is not known."
    )
    assert wording.findings(results(*rows, models=models)) == [
        "Of the 2 other pairs of models: net is more accurate than other; of 1 it is not known."
    ]


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (
            pair("net", "trans", "not_known", 0.033, p_value=0.021, p_adjusted=0.063),
            "Whether the CNN net (84.3 %) or the ViT trans (81.0 %) is more accurate is not known: +3.3 points "
            "[+2.2, +4.6] (95 % interval), p = 0.021 (0.063 adjusted for 2 tests).",
        ),
        (
            pair("trans", "net", "not_known", -0.033, p_value=0.021, p_adjusted=0.063),
            "Whether the CNN net (84.3 %) or the ViT trans (81.0 %) is more accurate is not known: +3.3 points "
            "[+2.0, +4.4] (95 % interval), p = 0.021 (0.063 adjusted for 2 tests).",
        ),
    ],
)
def test_what_is_found_alone_but_not_among_several_is_not_known(row: Pair, told: str) -> None:
    models = [model("net", "cnn", 0.8432), model("trans", "vit", 0.8101), model("other", "cnn", 0.79)]
    untested = pair("net", "other", "not_tested", 0.05)
    tested = pair("trans", "other", "not_known", 0.02, p_value=0.4, p_adjusted=0.4)
    assert wording.accuracy_sentence(results(tested, untested, row, models=models)) == told


@pytest.mark.parametrize(("family", "name"), [("vit", "ViT"), ("cnn", "CNN")])
def test_models_of_one_family_are_both_called_by_it(family: Family, name: str) -> None:
    models = [model("small", family, 0.8101), model("large", family, 0.8432)]
    row = pair("small", "large", "better", -0.033, "large", **ALONE)
    found = results(row, models=models, rivals=("large", "small"))
    assert wording.accuracy_sentence(found) == (
        f"The {name} large (84.3 %) is more accurate than the {name} small (81.0 %): +3.3 points [+2.0, +4.4] "
        "(95 % interval), p = 0.012; whether by more than the margin of 1 point is not known."
    )
    assert not wording.findings(found)


def test_there_are_two_families_and_each_has_its_name() -> None:
    """A model with attention heads is a ViT, and any other a CNN: a third family cannot stand in a report."""
    assert tuple(formats.NAMES) == get_args(Family) == ("vit", "cnn")


def test_of_the_other_pairs_the_winner_is_named_first_wherever_it_stands() -> None:
    models = [model(name, "cnn", 0.8) for name in ("net", "wide", "deep", "slim")] + [model("trans", "vit", 0.81)]
    rows = [
        pair("net", "trans", "not_known", 0.033),
        pair("net", "wide", "better_by_more", -0.05, "wide"),
        pair("net", "deep", "better_by_less", 0.004, "net"),
        pair("wide", "deep", "as_good", 0.001),
        pair("wide", "slim", "not_tested", 0.001),
    ]
    assert wording.findings(results(*rows, models=models)) == [
        "Of the 4 other pairs of models: wide is more accurate than net by more than the margin; net is more accurate "
        "than deep by less than the margin; as good within the margin are wide and deep; 1 cannot be tested with one "
        "seed."
    ]


@pytest.mark.parametrize(
    ("gain", "told"),
    [
        (Gain(0.06, 0.05, 0.07), "+6.0 points [+5.0, +7.0], more than lies between the two models, by a fitted"),
        (Gain(0.01, 0.005, 0.015), "+1.0 points [+0.5, +1.5], less than lies between the two models, by a fitted"),
        (Gain(0.03, 0.01, 0.05), "+3.0 points [+1.0, +5.0], by a fitted"),
    ],
)
@pytest.mark.parametrize(("a", "b", "sign"), [("net", "trans", 1), ("trans", "net", -1)])
def test_what_more_images_bring_is_told_of_the_better_model(a: str, b: str, sign: int, gain: Gain, told: str) -> None:
    fits = [CurveFit("trans", 1.0, 0.5, 0.0, None, None, "one seed"), CurveFit("net", 1.0, 0.5, 0.0, None, gain, None)]
    found = results(pair(a, b, "better", sign * 0.033, "net"), curve_fits=CurveFits(fits, None))
    (sentence,) = wording.findings(found)
    assert sentence.startswith(f"Twice the training images would bring net {told}")


def test_a_difference_is_what_a_reader_makes_of_the_accuracies_beside_it() -> None:
    for a, b in ((0.9926, 0.9843), (0.98546, 0.98504), (0.5, 0.5), (0.99999, 0.99991)):
        decimals = formats.decimals_for(a, b)
        first, second = (float(formats.percent(value, decimals).split()[0]) for value in (a, b))
        apart = float(formats.points(a - b, decimals))
        assert round(first - second, decimals) == apart and (apart > 0 or a == b)


def test_no_model_is_better_by_nothing() -> None:
    models = [model("net", "cnn", 0.98504), model("trans", "vit", 0.98546)]
    row = pair("net", "trans", "better_by_less", -0.00042, "trans", low=-0.0008, high=-0.00001, **ALONE)
    told = wording.accuracy_sentence(results(row, models=models))
    assert told.startswith("The ViT trans (98.546 %) is more accurate than the CNN net (98.504 %), but by less than")
    assert "+0.042 points [+0.001, +0.080]" in told


@pytest.mark.parametrize(
    ("value", "told"), [(0.0499, "0.0499"), (0.05, "0.050"), (0.0501, "0.0501"), (0.0004, "< 0.001"), (None, "–")]
)
def test_a_rounded_p_value_stays_on_its_side_of_the_level(value: float | None, told: str) -> None:
    assert formats.p_value(value) == told


def test_one_seed_decides_nothing_and_is_told_whatever_else_limits_the_report() -> None:
    models = [model("net", "cnn", 0.8432, 1), model("trans", "vit", 0.8101, 5)]
    untested = pair("net", "trans", "not_tested", 0.033, seeds=(1, 5))
    ledger = replace(MATCHED, differences=[SettingDifference("optimizer.lr", {})], only_models_differ=False)
    told = wording.verdict(results(untested, models=models, ledger=ledger))
    assert "which decides nothing" in told[0]
    assert told[1].startswith("One seed of net: how much another training would differ is not known")
    assert told[-1].startswith("Not a comparison of models alone, because optimizer.lr differs")
    everything = " ".join(told + caveats.caveats(results(untested, models=models, ledger=ledger)))
    assert "p =" not in everything and "four times in five" not in everything and "more accurate" not in everything


def test_one_seed_a_model_is_said_only_where_it_is_so() -> None:
    row = pair("net", "trans", "better", 0.033, "net", seeds=(5, 3))
    assert not caveats.seed_caveats(results(row, models=[model("net", "cnn", 0.84, 5), model("trans", "vit", 0.8, 3)]))
    assert caveats.seed_caveats(results(row, seeds=1))[0].startswith("One seed of every model")
    (warned,) = caveats.seed_caveats(results(row, seeds=2))
    assert warned.startswith("Two seeds of every model tell little")


def test_what_would_be_found_is_of_the_pair_in_the_sentence_or_else_what_it_takes() -> None:
    other = pair("net", "other", "better", 0.05, detectable=0.07)
    (found,) = caveats.caveats(results(other, pair("net", "trans", "better", 0.033, "net")))
    assert found.startswith("A true difference of 2.1 points between net and trans would be found four times in five")
    (found,) = caveats.caveats(results(pair("net", "trans", "not_known", 0.03, detectable=None)))
    assert found.endswith(
        "For one of 1 point, four times in five, about 7 seeds of either on these test images or 5,500 test images "
        "with these seeds would do."
    )
    none = pair("net", "trans", "not_known", 0.03, detectable=None, needed=Needed(seeds=None, images=None))
    assert caveats.caveats(results(none))[0].endswith("not even 50 seeds would do.")


def test_the_luck_that_a_chosen_model_keeps_is_told() -> None:
    row = pair("net", "trans", "better", 0.033, "net")
    chosen = Selection("net", among=4, bias=0.0031)
    told = caveats.caveats(results(row, selection=[chosen]))
    assert told[0].startswith("net was the best of 4 CNNs on validation") and "seem 0.3 points better" in told[0]
    assert len(caveats.caveats(results(row, selection=[replace(chosen, bias=0.0001)]))) == 1


def damaged(name: str, corrupted: float, kept: float) -> RobustnessRow:
    share = lambda mean: Estimate(mean, mean - 0.02, mean + 0.02, 0.01)  # noqa: E731
    return RobustnessRow(name, 256, share(0.5), share(corrupted), share(kept), [], {}, [], [], [])


def test_under_damage_the_accuracy_comes_first_and_the_share_kept_second() -> None:
    """A model that knows less has less to lose: docs/cifar10 once told of the share alone, and named the worse one."""
    rows = [damaged("trans", corrupted=0.382, kept=0.805), damaged("net", corrupted=0.430, kept=0.706)]
    row = pair("trans", "net", "better", -0.048, "net", **ALONE)
    (told,) = wording.findings(results(pair("net", "trans", "better", 0.03), robustness=rows, under_damage=row))
    assert told == (
        "On 256 test images under noise, blur, weather and digital damage: net (43.0 %) is more accurate than trans "
        "(38.2 %): +4.8 points [+3.5, +5.9] (95 % interval), p = 0.012; whether by more than the margin of 1 point is "
        "not known. Of their accuracy on the same images unchanged, that leaves: trans 80.5 % [78.5 %, 82.5 %] and "
        "net 70.6 % [68.6 %, 72.6 %]."
    )


@pytest.mark.parametrize(("low", "high", "winner"), [(-0.09, -0.01, "trans"), (0.01, 0.09, "net"), (-0.01, 0.09, None)])
def test_a_likelihood_is_named_only_where_its_interval_leaves_zero_out(
    low: float, high: float, winner: str | None
) -> None:
    nll = LossDifference((low + high) / 2, low, high, p_value=0.02)
    told = wording.findings(results(pair("net", "trans", "better", 0.03), likelihood=LossDifferences(nll, brier=nll)))
    assert [sentence.split()[3] for sentence in told] == ([winner] if winner else [])
    assert all("lower by 0.050 [0.010, 0.090] (95 % interval), p = 0.020." in sentence for sentence in told)


def test_one_model_alone_is_compared_with_none() -> None:
    told = wording.verdict(results(models=[model("net", "cnn", 0.8432)], rivals=None))
    assert told == ["net reaches 84.3 % [83.3 %, 85.3 %] on test."]


def test_a_comparison_on_one_test_split_says_nothing_of_folds() -> None:
    found = results(pair("net", "trans", "not_known", 0.01))
    assert design.folds_in_words(found) == []
    assert not any("folds" in line for line in caveats.caveats(found))


def test_folds_are_told_with_what_they_leave_open() -> None:
    by_folds = replace(TRAINING, folds=5)
    found = results(pair("net", "trans", "not_known", 0.01), training=by_folds)
    (told,) = design.folds_in_words(found)
    assert told.startswith(
        "5 folds: every image was tested once by each model and seed, after training on the other 4 folds (about 1,000 "
        "images, and 100 that validated)."
    )
    (caveat,) = [line for line in caveats.caveats(found) if "folds" in line]
    assert caveat.startswith(
        "Models of different folds learned from overlapping images: intervals and tests are widened"
    )
    searched = replace(found, training=replace(by_folds, search=Search(8, [])))
    assert len(design.folds_in_words(searched)) == 2 and "first fold alone" in design.folds_in_words(searched)[1]


def test_a_report_asks_what_it_answers() -> None:
    both = results(pair("net", "trans", "not_known", 0.0))
    one = replace(both, models=[row for row in both.models if row.family == "vit"])
    assert asked(both) == "ViT or CNN" and asked(one) == "Which ViT"


def test_an_ablation_is_about_the_recipe_as_it_is_and_the_best_of_the_others() -> None:
    models = [
        replace(model(name, "vit", top1), validation_top1=top1) for name, top1 in (("a", 0.5), ("b", 0.7), ("c", 0.6))
    ]
    assert rivals_among(models) == ("b", "c")
    assert rivals_among(models, "a") == ("a", "b")
    assert rivals_among(models, "b") == ("b", "c")
    assert rivals_among(models[:1], "a") is None
