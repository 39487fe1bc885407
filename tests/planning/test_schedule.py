"""What fits into a time: seeds before fractions, fractions before more epochs than are of use; and what is said."""

from dataclasses import replace

import pytest

from vit.errors import UserError
from vit.planning.schedule import (
    FEWEST_EPOCHS,
    HONEST_SEEDS,
    Pace,
    Shape,
    Work,
    doubt_about,
    epochs_within,
    fitting,
    limit_of,
    scheduled,
    seconds_of_training,
)
from vit.recipe.types import seconds_of

WORK = Work(training=2_000, validation=200, test=400, fewest=100)
FEW = Work(training=700, validation=80, test=200, fewest=100, foldable=True)
PACE = Pace(parameters=1, macs=1, seconds_to_begin=3, seconds_per_training_image=0.004, seconds_per_answer=0.001)
PACES = [PACE] * 4


def fit(seconds: float, work: Work = WORK, pretrained: bool = False):
    return fitting(seconds, PACES, work, 2, pretrained)


@pytest.mark.parametrize("minutes", [8, 12, 20, 60, 240])
def test_what_is_planned_fits_and_wastes_little(minutes: int) -> None:
    schedule = fit(60 * minutes)
    assert schedule.seconds <= 60 * minutes
    more = scheduled(schedule.shape, schedule.epochs + 1, PACES, WORK, 2)
    assert more.seconds > 60 * minutes or schedule.epochs == 300


def test_more_time_never_takes_anything_away() -> None:
    found = [fit(60 * minutes) for minutes in range(4, 240, 4)]
    seeds, fractions = [s.shape.seeds for s in found], [len(s.shape.fractions) for s in found]
    assert seeds == sorted(seeds) and fractions == sorted(fractions)
    assert (seeds[0], seeds[-1], fractions[0], fractions[-1]) == (1, HONEST_SEEDS, 0, 2)
    with_all = [s.epochs for s in found if len(s.shape.fractions) == 2]
    assert with_all == sorted(with_all)


def test_small_classes_are_in_no_small_fraction() -> None:
    of = lambda fewest: fit(7_200, replace(WORK, fewest=fewest)).shape.fractions  # noqa: E731
    assert (of(30), of(15), of(4)) == ((0.1, 0.3), (0.3,), ())


def test_few_images_are_tested_in_folds_where_there_is_time() -> None:
    """Five folds of 980 images: 704 train, 80 validate, 196 are tested, by fifteen trainings of a model."""
    found = [fit(60 * minutes, FEW).shape.folds for minutes in (10, 40, 120)]
    assert found == [0, 3, 5]
    assert FEW.in_folds(5) == replace(FEW, training=704, validation=80, test=196)
    assert Shape(3, folds=5).trainings == 15
    assert fit(7_200, replace(FEW, foldable=False)).shape.folds == 0
    assert fit(7_200, replace(FEW, training=2_400)).shape.folds == 0
    assert fit(7_200, replace(FEW, fewest=7)).shape.folds == 3
    assert fit(7_200, replace(FEW, fewest=5)).shape.folds == 0


def test_too_short_is_said_with_the_time_that_would_do() -> None:
    short = fit(200)
    doubt = doubt_about(short, PACES, WORK, 2, pretrained=False)
    assert doubt is not None and "epochs are too few to learn much" in doubt
    enough = seconds_of(doubt.split("--time-limit ")[1].split()[0])
    assert doubt_about(fit(enough), PACES, WORK, 2, pretrained=False) is None
    assert fit(enough).epochs >= FEWEST_EPOCHS[False] and fit(enough).shape.seeds == HONEST_SEEDS


def test_not_one_epoch_is_refused_with_the_time_that_would_do() -> None:
    with pytest.raises(
        UserError, match=r"^0:50 are left .* one epoch of every model takes with them \d+:\d\d; give"
    ) as error:
        fit(50)
    assert fit(seconds_of(str(error.value).split("--time-limit ")[1].split()[0])).shape.seeds == HONEST_SEEDS


def test_a_training_takes_its_beginning_its_epochs_and_its_answers() -> None:
    one, two = (seconds_of_training(PACE, WORK, epochs, 1.0) for epochs in (1, 2))
    assert two - one == pytest.approx(2_000 * 0.004 + 200 * 0.001)
    assert one - seconds_of_training(PACE, WORK, 1, 0.5) == pytest.approx(1_000 * 0.004)
    assert seconds_of_training(PACE, WORK, 0, 1.0) > 3


def test_pretrained_models_need_fewer_epochs() -> None:
    seconds = next(s for s in range(60, 4_000, 10) if epochs_within(s, PACES, WORK, fit(7_200).shape, 2) >= 3)
    assert fit(seconds, pretrained=True).shape.fractions == (0.1, 0.3)
    assert fit(seconds).shape.fractions == ()


@pytest.mark.parametrize(
    ("seconds", "limit"),
    [(10, "2m"), (1_000, "20m"), (3_600, "1h8m"), (3_164, "1h"), (6_436, "1h59m"), (6_500, "2h1m")],
)
def test_limits_are_whole_minutes_with_room_for_the_plan(seconds: float, limit: str) -> None:
    assert limit_of(seconds) == limit
    assert seconds_of(limit) >= 1.1 * seconds
