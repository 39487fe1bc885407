"""Tests and intervals against scipy, against hand-computed cases, and against what they promise, by simulation."""

import numpy as np
import pytest
from scipy import stats
from simulated_answers import Model, answers

from vit.report.statistics import Interval, accuracy, mean_of, paired_difference, paired_test
from vit.report.verdicts import decide, holm

REPETITIONS = 1500


def p_value(a: np.ndarray, b: np.ndarray) -> float:
    found = paired_test(a, b).p_value
    assert found is not None
    return found


def bernoulli(draw: np.random.Generator, chances: np.ndarray) -> np.ndarray:
    return (draw.random(chances.shape) < chances).astype(float)


@pytest.mark.parametrize("images", [12, 200, 5000])
def test_with_one_seed_it_is_the_paired_t_test_of_scipy(images):
    draw = np.random.default_rng(images)
    a, b = bernoulli(draw, np.full((1, images), 0.7)), bernoulli(draw, np.full((1, images), 0.6))
    found, expected = paired_test(a, b), stats.ttest_rel(a[0], b[0])
    assert found.difference == pytest.approx(a.mean() - b.mean())
    assert found.spread.p_value(found.difference) == pytest.approx(expected.pvalue)
    interval = expected.confidence_interval(0.95)
    assert (found.interval().low, found.interval().high) == pytest.approx((interval.low, interval.high))
    assert found.p_value is None and found.detectable() is None, "one seed decides nothing"


def test_exchanging_the_models_turns_the_sign():
    draw = np.random.default_rng(0)
    a, b = bernoulli(draw, np.full((3, 90), 0.8)), bernoulli(draw, np.full((2, 90), 0.6))
    one, other = paired_test(a, b), paired_test(b, a)
    assert one.difference == pytest.approx(-other.difference)
    assert (one.interval().low, one.interval().high) == pytest.approx((-other.interval().high, -other.interval().low))
    assert one.p_value == pytest.approx(other.p_value)


def test_models_that_never_differ_are_not_told_apart():
    a = bernoulli(np.random.default_rng(0), np.full((3, 50), 0.5))
    found = paired_test(a, a)
    assert (found.difference, found.p_value) == (0, 1)
    assert found.interval().low < 0 < found.interval().high


def test_models_that_always_differ_are_told_apart():
    found = paired_test(np.ones((2, 50)), np.zeros((2, 50)))
    assert found.difference == 1 and found.p_value is not None and found.p_value < 1e-9
    assert 0.9 < found.interval().low < 1 and found.interval().high == 1


@pytest.mark.parametrize("images", [1, 2, 40])
def test_two_perfect_models_have_an_interval_of_some_width(images):
    found = paired_test(np.ones((3, images)), np.ones((3, images)))
    assert found.interval().low < -1 / (images + 1) and found.interval().high > 1 / (images + 1)
    assert found.p_value == 1


def test_models_that_answer_alike_have_no_width_only_where_nothing_is_drawn():
    """Any measure but answers, which has no smallest step, may agree to the last digit."""
    for seed in range(8):
        values = np.random.default_rng(seed).random((3, 30))
        found = paired_difference(values, values)
        assert found.interval().low <= 0 <= found.interval().high < 0.5
        found = paired_difference(values[:1], values[:1])
        assert found.interval() == Interval(0, 0)


def test_the_p_value_is_below_five_percent_where_the_interval_leaves_zero_out():
    draw = np.random.default_rng(3)
    verdicts = set()
    for _ in range(60):
        a, b = bernoulli(draw, np.full((3, 120), 0.7)), bernoulli(draw, np.full((3, 120), 0.63))
        found = paired_test(a, b)
        assert (found.p_value < 0.05) == (found.interval().low > 0 or found.interval().high < 0)
        verdicts.add(found.p_value < 0.05)
    assert verdicts == {True, False}


def test_seeds_that_disagree_widen_the_interval_of_the_same_images():
    steady = np.repeat(np.array([[1.0] * 60 + [0.0] * 40]), 4, axis=0)
    unsteady = np.array([[1.0] * n + [0.0] * (100 - n) for n in (80, 40, 75, 45)])
    other = np.tile([1.0, 0.0], (4, 50))
    assert steady.mean() == unsteady.mean()
    narrow, wide = paired_test(steady, other), paired_test(unsteady, other)
    assert wide.difference == pytest.approx(narrow.difference)
    assert width(wide) > 1.2 * width(narrow)


def width(test) -> float:
    return test.interval().high - test.interval().low


def test_no_interval_is_narrower_than_images_alone_allow():
    """Seeds that agree by chance make none of the images' variance go away."""
    draw = np.random.default_rng(0)
    for _ in range(200):
        a, b = (bernoulli(draw, np.full((3, 150), 0.9)) for _ in range(2))
        images = (a.mean(0) - b.mean(0)).var(ddof=1) / 150
        assert width(paired_test(a, b)) >= 2 * 1.96 * images**0.5


@pytest.mark.parametrize("level", [0.1, 0.05, 0.04, 0.005, 0.0005])
@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_the_interval_of_a_level_ends_where_the_p_value_is_that_level(seeds, level):
    draw = np.random.default_rng(seeds)
    luck = draw.normal(0, 0.05, (2, seeds, 1))
    found = paired_test(*(bernoulli(draw, np.full((seeds, 200), 0.8) + luck[i]) for i in range(2)))
    assert found.spread.p_value(found.spread.half_width(level)) == pytest.approx(level, rel=1e-3)


def test_models_on_different_images_are_not_paired():
    with pytest.raises(ValueError, match="tested on 5 and 6 images"):
        paired_test(np.ones((2, 5)), np.ones((2, 6)))


@pytest.mark.parametrize(
    ("p_values", "adjusted"),
    [
        ([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]),
        ([0.04, 0.01, 0.03, 0.005], [0.06, 0.03, 0.06, 0.02]),
        ([0.5, 0.6], [1.0, 1.0]),
        ([0.02, 0.02], [0.04, 0.04]),
        ([0.03], [0.03]),
        ([0.0, 1.0, 0.0], [0.0, 1.0, 0.0]),
        ([], []),
    ],
)
def test_holm_by_hand(p_values, adjusted):
    assert holm(p_values) == pytest.approx(adjusted)


def test_holm_keeps_the_order_and_lies_between_one_test_and_bonferroni():
    draw = np.random.default_rng(0)
    for count in range(1, 15):
        p_values = draw.random(count) ** 3
        adjusted = np.array(holm(p_values.tolist()))
        order = np.argsort(p_values)
        assert (np.diff(adjusted[order]) >= 0).all()
        assert (adjusted >= p_values).all()
        assert (adjusted <= np.minimum(1, count * p_values) + 1e-15).all()
        assert adjusted.min() == pytest.approx(min(1, count * p_values.min()))


def test_holm_keeps_the_chance_of_any_false_finding():
    draw = np.random.default_rng(0)
    false_findings = [min(holm(draw.random(6).tolist())) < 0.05 for _ in range(4000)]
    assert np.mean(false_findings) == pytest.approx(0.05, abs=4 * (0.05 * 0.95 / 4000) ** 0.5)


def test_the_accuracy_of_one_seed_has_the_score_interval_of_its_images():
    correct = bernoulli(np.random.default_rng(0), np.full((1, 2000), 0.9))
    found = accuracy(correct)
    expected = stats.binomtest(int(correct.sum()), 2000).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-4)
    assert found.std is None


def test_the_accuracy_of_seeds_names_the_deviation_between_them():
    correct = np.array([[1.0] * n + [0.0] * (100 - n) for n in (70, 80, 90)])
    found = accuracy(correct)
    assert found.mean == pytest.approx(0.8)
    assert found.std == pytest.approx(0.1)
    assert found.high - 0.8 > stats.sem([0.7, 0.8, 0.9])


def test_an_interval_of_accuracy_stays_between_zero_and_one():
    for correct in (np.array([[1.0] * 9 + [0.0]]), np.array([[0.0] * 9 + [1.0]]), np.zeros((3, 20)), np.ones((3, 20))):
        found = accuracy(correct)
        assert 0 <= found.low <= found.mean <= found.high <= 1
        assert found.low < found.high


def test_a_perfect_model_may_still_err_on_other_images():
    found = accuracy(np.ones((3, 20)))
    expected = stats.binomtest(20, 20).proportion_ci(method="wilson")
    assert (found.low, found.mean, found.high, found.std) == pytest.approx((expected.low, 1, 1, 0), abs=0.01)


def test_the_detectable_difference_is_found_four_times_in_five():
    tests = [paired_test(a, b) for a, b in trained_pairs(5, advantage=0.0, seed_deviation=0.01)]
    told = [found.detectable() for found in tests]
    advantage = float(np.median([value for value in told if value is not None]))
    found = [p_value(a, b) < 0.05 for a, b in trained_pairs(5, advantage, seed_deviation=0.01)]
    assert np.mean(found) == pytest.approx(0.8, abs=0.05)


def test_two_seeds_that_part_give_no_number_for_what_would_be_found():
    a, b = next(iter(trained_pairs(2, advantage=0.0, seed_deviation=0.1)))
    assert paired_test(a, b).detectable() is None


def test_with_the_seeds_that_it_names_the_margin_is_found_four_times_in_five():
    needed = [paired_test(a, b).needed(0.06).seeds for a, b in trained_pairs(5, 0.0, 0.02)]
    count = round(float(np.median([value for value in needed if value])))
    found = [p_value(a, b) < 0.05 for a, b in trained_pairs(count, 0.06, 0.02)]
    assert np.mean(found) == pytest.approx(0.8, abs=0.08)


def trained_pairs(seeds: int, advantage: float, seed_deviation: float, images: int = 600):
    """Yield `correct` [S, N] of two models, over the drawing of images and of seeds.

    An image is as hard for both. A training is lucky or not on all images alike; b is right more often by `advantage`.
    """
    draw = np.random.default_rng(seeds)
    for _ in range(REPETITIONS):
        difficulty = draw.uniform(0.3, 0.75, images)
        luck = draw.normal(0, seed_deviation, (2, seeds, 1))
        yield bernoulli(draw, difficulty + luck[0]), bernoulli(draw, difficulty + luck[1] + advantage)


@pytest.mark.parametrize("seeds", [3, 5])
def test_reruns_of_one_model_are_rarely_found_different(seeds):
    """Seed and image noise of like size, as on test sets of thousands of images."""
    aware, unaware = [], []
    for a, b in trained_pairs(seeds, advantage=0.0, seed_deviation=0.03):
        aware.append(p_value(a, b) < 0.05)
        unaware.append(stats.ttest_rel(a.mean(0), b.mean(0)).pvalue < 0.05)
    assert 0.02 <= np.mean(aware) <= 0.06
    assert np.mean(unaware) > 0.12, "a test that ignores the seeds finds differences between reruns"


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_models_that_part_on_images_and_are_as_good_are_rarely_found_different(seeds):
    """Each is better on images of its own; seeds are lucky or not. Two seeds leave much open, and the test careful."""
    draw, p_values = np.random.default_rng(seeds), []
    for _ in range(REPETITIONS):
        difficulty, own = draw.uniform(0.3, 0.75, 600), draw.normal(0, 0.15, (2, 600))
        luck = draw.normal(0, 0.02, (2, seeds, 1))
        a, b = (bernoulli(draw, np.clip(difficulty + own[i] + luck[i], 0, 1)) for i in range(2))
        p_values.append(p_value(a, b))
    assert (0.02 if seeds == 2 else 0.035) <= np.mean(np.array(p_values) < 0.05) <= 0.065
    assert np.mean(np.array(p_values) < 0.005) <= 0.01, "Holm's method asks of single tests much less than 5 %"


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_nearly_perfect_models_are_rarely_found_different(seeds):
    """A few images of 450 decide, and seeds often agree to the image."""
    draw, p_values = np.random.default_rng(seeds), []
    for _ in range(REPETITIONS):
        chances = np.where(draw.random(450) < 0.97, 0.9995, draw.uniform(0.2, 0.9, 450))
        a, b = (bernoulli(draw, np.broadcast_to(chances, (seeds, 450))) for _ in range(2))
        p_values.append(p_value(a, b))
    assert np.mean(np.array(p_values) < 0.05) <= 0.06
    assert np.mean(np.array(p_values) < 0.005) <= 0.01


@pytest.mark.parametrize(
    ("seeds", "seed_deviation"),
    [(1, 0.0), *((seeds, deviation) for seeds in (2, 3, 5) for deviation in (0.0, 0.01, 0.03))],
)
def test_the_interval_of_a_difference_covers_it(seeds, seed_deviation):
    covered = [
        found.low <= -0.04 <= found.high
        for found in (paired_test(a, b).interval() for a, b in trained_pairs(seeds, 0.04, seed_deviation))
    ]
    assert 0.93 <= np.mean(covered) <= (0.995 if seeds == 2 else 0.98)


@pytest.mark.parametrize("seed_deviation", [0.0, 0.03])
def test_the_interval_of_an_accuracy_covers_it(seed_deviation):
    estimates = [accuracy(a) for a, _ in trained_pairs(3, 0.0, seed_deviation)]
    assert 0.93 <= np.mean([found.low <= 0.525 <= found.high for found in estimates]) <= 0.985


def test_a_real_difference_is_found():
    found = [p_value(a, b) < 0.05 for a, b in trained_pairs(5, advantage=0.12, seed_deviation=0.02)]
    assert np.mean(found) > 0.9


def test_the_mean_of_any_measure_has_the_interval_of_scipy_where_there_is_one_seed():
    values = np.random.default_rng(0).exponential(size=(1, 80))
    found, expected = mean_of(values), stats.ttest_1samp(values[0], 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


EQUAL = [(150, 0.9, 0.01), (450, 0.97, 0.0), (2_000, 0.5, 0.003), (2_000, 0.9, 0.03)]


@pytest.mark.parametrize("seeds", [(2, 2), (3, 3), (5, 5), (10, 3), (10, 2)])
def test_equal_models_are_found_different_in_a_twentieth_of_reports_at_most(seeds):
    """tools/simulate_statistics.py tries many more settings, and larger ones."""
    generator, p_values = np.random.default_rng(seeds), []
    for images, share, deviation in EQUAL:
        model = Model(share, deviation)
        p_values += [p_value(*answers([model] * 2, list(seeds), images, generator)) for _ in range(250)]
    assert (0.0 if 2 in seeds else 0.02) <= np.mean(np.array(p_values) < 0.05) <= 0.065


def test_small_sets_and_models_near_perfect_have_intervals_that_hold():
    """Forty images, 99 and 97 %: without a floor of one image each way, half of the intervals have no width."""
    generator = np.random.default_rng(0)
    for seeds in (2, 3, 10):
        held = []
        for _ in range(400):
            bounds = paired_test(*answers([Model(0.99, 0.003), Model(0.97, 0.003)], [seeds] * 2, 40, generator))
            held.append(bounds.interval().low <= 0.02 <= bounds.interval().high)
        assert np.mean(held) >= (0.84 if seeds == 2 else 0.93)


FIRST = ("1", "0")


def decided(models: list[Model], seeds: int, images: int, worlds: int, margin: float = 0.01) -> list[dict]:
    """Return the verdicts of all pairs in many worlds; the pair of the first two models is asked about."""
    generator = np.random.default_rng([seeds, images])
    found = []
    for _ in range(worlds):
        tables = answers(models, [seeds] * len(models), images, generator)
        tests = {(f"{i}", f"{j}"): paired_test(tables[i], tables[j]) for i in range(len(models)) for j in range(i)}
        found.append(decide(tests, FIRST, margin))
    return found


@pytest.mark.parametrize("seeds", [2, 3])
def test_any_false_finding_among_ten_pairs_has_the_chance_of_the_level(seeds):
    reports = decided([Model(0.9, 0.01)] * 5, seeds, 2_000, 250)
    assert np.mean([any(verdict.winner is not None for verdict in report.values()) for report in reports]) <= 0.09


def test_the_first_of_ten_pairs_is_found_twice_as_often_as_by_holm_over_all():
    reports = decided([Model(0.9, 0.01), *[Model(0.93, 0.01)] * 4], 3, 2_000, 200)
    first = [report[FIRST].winner is not None for report in reports]
    by_holm = [holm([verdict.p_value for verdict in report.values()])[0] < 0.05 for report in reports]
    assert np.mean(first) >= 2 * np.mean(by_holm) > 0


def test_equal_models_are_as_good_within_a_margin_and_others_are_not():
    equal = decided([Model(0.9, 0.002)] * 2, 5, 10_000, 60)
    apart = decided([Model(0.9, 0.003), Model(0.93, 0.003)], 3, 450, 300)
    assert np.mean([report[FIRST].outcome == "as_good" for report in equal]) > 0.8
    assert np.mean([report[FIRST].outcome == "as_good" for report in apart]) <= 0.05
