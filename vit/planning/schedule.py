"""How a time is spent: epochs, seeds, folds and fractions that fit, from the pace of every contestant.

Three seeds come before folds, folds before fractions; with less time fractions go first, then folds, then seeds.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..comparison.forecast import BETWEEN, seconds_to_look, seconds_to_report
from ..comparison.probes import FEWEST
from ..errors import UserError
from ..progress import clock
from .pace import Pace

HONEST_SEEDS = 3  # fewer tell too little of how much trainings differ
FRACTIONS = (0.1, 0.3)  # beside all images
FEWEST_OF_A_CLASS = 2  # images, in the smallest fraction, and in a fold
FOLDS = (5, 3)
FEW_IMAGES = 2_500  # below which one test split decides too much by luck
ENOUGH_IMAGES = 100_000  # seen in training from scratch, from which on a larger network is worth its time
LEAST_ENOUGH, MOST_ENOUGH = 15, 60  # epochs
FEWEST_EPOCHS = {False: 10, True: 3}  # from scratch, and with pretrained weights, for a result that says something
MOST_EPOCHS = {False: 300, True: 50}
MOST_IMAGES = {False: 600_000, True: 100_000}  # seen in training, from which on more bring little
UNEVEN = 1.05  # the last trainings do not end together


@dataclass(frozen=True)
class Work:
    """How many images a training learns from, validates on in every epoch, and is tested on.

    `fewest` are the training images of the rarest class; `foldable` says that nobody has set test images apart.
    """

    training: int
    validation: int
    test: int
    fewest: int
    foldable: bool = False

    def in_folds(self, folds: int) -> "Work":
        """Return what one training of so many folds works on; 0 are one test split."""
        if not folds:
            return self
        images = self.training + self.validation + self.test
        rest = images - images // folds
        validation = round(rest * self.validation / (self.training + self.validation))
        return replace(self, training=rest - validation, validation=validation, test=images // folds)


@dataclass(frozen=True)
class Shape:
    """How many seeds and folds (0: one test split), and which fractions of the training images beside all of them."""

    seeds: int
    fractions: tuple[float, ...] = ()
    folds: int = 0

    @property
    def trainings(self) -> int:
        """Return how many trainings of a model are on all images."""
        return self.seeds * max(1, self.folds)


@dataclass(frozen=True)
class Schedule:
    """What fits into a time: `training_seconds` and what comes behind them, for all contestants."""

    shape: Shape
    epochs: int
    training_seconds: float
    concluding_seconds: float

    @property
    def seconds(self) -> float:
        return self.training_seconds + self.concluding_seconds


def seconds_of_training(pace: Pace, work: Work, epochs: int, fraction: float) -> float:
    learning = fraction * work.training * pace.seconds_per_training_image + work.validation * pace.seconds_per_answer
    answering = (work.validation + work.test) * pace.seconds_per_answer
    return BETWEEN + pace.seconds_to_begin + epochs * learning + answering


def training_seconds(paces: Sequence[Pace], work: Work, shape: Shape, epochs: int, jobs: int) -> float:
    work = work.in_folds(shape.folds)
    once = sum(
        seconds_of_training(pace, work, epochs, fraction) for pace in paces for fraction in (1.0, *shape.fractions)
    )
    return UNEVEN * shape.trainings * once / jobs


def concluding_seconds(paces: Sequence[Pace], work: Work, shape: Shape, jobs: int) -> float:
    """Return the seconds to look at models on changed images, to time each alone, and to write the report."""
    images = min(FEWEST, work.in_folds(shape.folds).test)
    looking = sum(shape.trainings * seconds_to_look(images, pace.seconds_per_answer) for pace in paces) / jobs
    return looking + seconds_to_report(len(paces))


def epochs_within(seconds: float, paces: Sequence[Pace], work: Work, shape: Shape, jobs: int) -> int:
    """Return how many epochs fit, with everything that comes behind them; 0 where not even one does."""
    free = seconds - concluding_seconds(paces, work, shape, jobs)
    without = training_seconds(paces, work, shape, 0, jobs)
    each = training_seconds(paces, work, shape, 1, jobs) - without
    return max(0, int((free - without) / each))


def shapes(work: Work) -> list[Shape]:
    """Return what may be done with epochs enough, the best first; folds where images are few and none set apart."""
    fractions = [f for f in FRACTIONS if f * work.fewest >= FEWEST_OF_A_CLASS]
    few = work.foldable and work.training + work.validation + work.test < FEW_IMAGES
    folds = [k for k in FOLDS if few and work.fewest >= FEWEST_OF_A_CLASS * k]
    return [Shape(HONEST_SEEDS, tuple(fractions[:n]), k) for k in (*folds, 0) for n in range(len(fractions), -1, -1)]


def epochs_wanted(work: Work, shape: Shape, pretrained: bool) -> int:
    """Return how many epochs make a shape worth its time: many trainings that learn little would say little."""
    fewest = FEWEST_EPOCHS[pretrained]
    return max(fewest, enough_epochs(work) // 2) if shape.folds and not pretrained else fewest


def most_epochs(work: Work, pretrained: bool) -> int:
    return min(MOST_EPOCHS[pretrained], max(FEWEST_EPOCHS[pretrained], MOST_IMAGES[pretrained] // work.training))


def enough_epochs(work: Work) -> int:
    """Return after how many epochs from scratch a larger network, with fewer of them, would be the better choice."""
    return min(MOST_ENOUGH, max(LEAST_ENOUGH, ENOUGH_IMAGES // work.training))


def fitting(seconds: float, paces: Sequence[Pace], work: Work, jobs: int, pretrained: bool) -> Schedule:
    """Return what fits into so many seconds; raises UserError where not one epoch of one seed does."""
    for shape in shapes(work):
        epochs = min(epochs_within(seconds, paces, work, shape, jobs), most_epochs(work, pretrained))
        if epochs >= epochs_wanted(work, shape, pretrained):
            return scheduled(shape, epochs, paces, work, jobs)
    for seeds in range(HONEST_SEEDS, 0, -1):
        epochs = epochs_within(seconds, paces, work, Shape(seeds), jobs)
        if epochs >= 1:
            return scheduled(Shape(seeds), epochs, paces, work, jobs)
    least = scheduled(Shape(1), 1, paces, work, jobs).seconds
    honest = honest_seconds(paces, work, jobs, pretrained)
    raise UserError(
        f"{clock(max(0.0, seconds))} are left for training and report, and one epoch of every model takes with them "
        f"{clock(least)}; give --time-limit {limit_of(honest)} for three seeds, or fewer --models"
    )


def scheduled(shape: Shape, epochs: int, paces: Sequence[Pace], work: Work, jobs: int) -> Schedule:
    return Schedule(
        shape, epochs, training_seconds(paces, work, shape, epochs, jobs), concluding_seconds(paces, work, shape, jobs)
    )


def honest_seconds(paces: Sequence[Pace], work: Work, jobs: int, pretrained: bool) -> float:
    """Return the seconds in which three seeds learn for the fewest epochs that say something."""
    return scheduled(Shape(HONEST_SEEDS), FEWEST_EPOCHS[pretrained], paces, work, jobs).seconds


def doubt_about(schedule: Schedule, paces: Sequence[Pace], work: Work, jobs: int, pretrained: bool) -> str | None:
    """Return why a plan says too little, and what time would do; None where it may be believed."""
    found = []
    if schedule.shape.seeds < HONEST_SEEDS:
        seeds = schedule.shape.seeds
        found.append(f"{seeds} seed{'s' * (seeds > 1)} of a model tell{'s' * (seeds == 1)} too little of its luck")
    if schedule.epochs < FEWEST_EPOCHS[pretrained]:
        found.append(f"{schedule.epochs} epochs are too few to learn much")
    if not found:
        return None
    honest = honest_seconds(paces, work, jobs, pretrained)
    return f"too short to be believed: {' and '.join(found)}; --time-limit {limit_of(honest)} would do"


def limit_of(seconds: float) -> str:
    """Return a time limit that holds so many seconds and the plan before them, in whole minutes: 25m, 1h30m."""
    minutes = int(1.1 * seconds / 60) + 2
    hours, rest = divmod(minutes, 60)
    return (f"{hours}h" if hours else "") + (f"{rest}m" if rest or not hours else "")
