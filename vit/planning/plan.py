"""A study planned: images looked at, contestants chosen and timed, epochs and seeds fitted into a time."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ..comparison.jobs import default_jobs
from ..comparison.plan import PlannedRun
from ..progress import clock
from ..recipe import Comparison, Recipe, override
from ..recipe.types import names_of
from ..run_folder import RunFolder
from . import contestants as who
from .choices import Choice
from .choices import show as show_choices
from .contestants import Contestant
from .networks import PAIRS, PRETRAINED, Pair, image_size_for
from .pace import Pace, paces_of
from .recipes import recipe_for
from .schedule import FEW_IMAGES, Schedule, Shape, Work, doubt_about, enough_epochs, fitting, scheduled
from .survey import Survey, look

logger = logging.getLogger(__name__)

HEAD_ALONE = {"tuning.trainable": "head"}
CHEAPER = 3.0  # times as many epochs as enough, before the next larger pair is tried: it costs four times as much


@dataclass(frozen=True)
class StudyPlan:
    """Complete recipes by the models' names, what was chosen and why, and the seconds that all of it takes."""

    recipes: dict[str, Recipe]
    choices: list[Choice]
    paces: dict[str, Pace]
    schedule: Schedule
    comparison: dict[str, Any]  # its keys, but for the recipes
    doubt: str | None

    @property
    def trainings(self) -> int:
        of_a_model = self.comparison["seeds"] * len(self.comparison["fractions"]) * self.comparison.get("folds", 1)
        return len(self.recipes) * of_a_model


@dataclass(frozen=True)
class Field:
    """Contestants with their recipes, of one epoch each, and how fast they are."""

    recipes: dict[str, Recipe]
    paces: dict[str, Pace]
    pretrained: bool
    why: str


def make_plan(
    data: str,
    *,
    seconds_left: Callable[[], float],
    models: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    jobs: int | None = None,
) -> StudyPlan:
    """Plan a comparison of models on a data set that ends in time, this planning included.

    `seconds_left` is asked whenever it matters. Raises UserError for data that cannot be compared, models that are
    none, and a time in which not one epoch fits.
    """
    overrides = dict(overrides or {})
    of_comparison = {key: value for key, value in overrides.items() if key in names_of(Comparison)}
    settings = {key: value for key, value in overrides.items() if key not in of_comparison}
    named = who.named(models) if models is not None else None
    survey = look(data, settings)
    logger.info(survey.in_words())
    study = Study(survey, settings, jobs)
    field = study.of_named(named) if named else study.of_our_choice(seconds_left)
    return study.planned(field, seconds_left(), of_comparison)


class Study:
    """The images and settings that every step of planning stands on."""

    def __init__(self, survey: Survey, settings: Mapping[str, Any], jobs: int | None):
        self.survey, self.settings, self.jobs = survey, settings, jobs
        foldable = "test" not in survey.given and survey.data.folds is None
        self.work = Work(survey.training, survey.validation, survey.test, survey.fewest, foldable)

    def field(self, taking_part: Sequence[Contestant], size: tuple[int, int], pretrained: bool, why: str) -> Field:
        """Return contestants with their recipes, timed."""
        recipes = {c.name: recipe_for(c, self.survey, size, self.settings) for c in taking_part}
        with TemporaryDirectory() as nowhere:
            planned = [
                PlannedRun(name, recipe, 1.0, 0, RunFolder(Path(nowhere) / name)) for name, recipe in recipes.items()
            ]
            self.jobs = self.jobs or default_jobs(planned)
            return Field(recipes, paces_of(planned, self.jobs), pretrained, why)

    def size_for(self, pair: Pair) -> tuple[int, int]:
        """Return the size of images that is given, or else goes with a pair."""
        if "data.image_size" in self.settings:
            return self.survey.data.image_size
        side = image_size_for(self.survey.side, pair)
        return side, side

    def of_named(self, named: list[Contestant]) -> Field:
        size = who.size_of(named) or self.size_for(PAIRS[0])
        pretrained = any(c.weights for c in named)
        return self.field([who.fitted(c, size) for c in named], size, pretrained, "named by --models")

    def of_our_choice(self, seconds_left: Callable[[], float]) -> Field:
        """Return a pair with published weights where these are at hand, else the largest pair that learns in time."""
        missing = who.are_published_at_hand()
        if missing is None:
            return self.of_published(seconds_left)
        found: Field | None = None
        for pair in PAIRS:
            size = self.size_for(pair)
            taking_part = who.from_scratch(pair, min(size))
            tried = self.field(taking_part, size, False, f"from scratch; published weights: {missing}")
            if found and self.epochs(tried, seconds_left()) < enough_epochs(self.work):
                return found
            found = tried
            if self.epochs(found, seconds_left()) < CHEAPER * enough_epochs(self.work):
                return found
        assert found is not None
        return found

    def of_published(self, seconds_left: Callable[[], float]) -> Field:
        """Return the larger pair of published models where it can be fine-tuned whole in time, else the smaller."""
        found: Field | None = None
        for names in PRETRAINED:
            taking_part = who.pretrained(names)
            size = who.size_of(taking_part)
            assert size is not None
            tried = self.field(taking_part, size, True, "published weights are at hand: both are fine-tuned")
            if found and not self.fits(tried, seconds_left()):
                return found
            found = tried
            if not self.fits(found, seconds_left()):
                self.settings = HEAD_ALONE | dict(self.settings)
                return self.field(
                    taking_part, size, True, "published weights are at hand; their heads alone are trained"
                )
        assert found is not None
        return found

    def fits(self, field: Field, seconds: float) -> bool:
        return doubt_about(self.schedule(field, seconds), *self.known(field)) is None

    def known(self, field: Field) -> tuple[list[Pace], Work, int, bool]:
        return list(field.paces.values()), self.work, self.jobs or 1, field.pretrained

    def schedule(self, field: Field, seconds: float) -> Schedule:
        return fitting(seconds, *self.known(field))

    def epochs(self, field: Field, seconds: float) -> int:
        return self.schedule(field, seconds).epochs

    def planned(self, field: Field, seconds: float, of_comparison: Mapping[str, Any]) -> StudyPlan:
        schedule = self.schedule(field, seconds)
        if "schedule.epochs" in self.settings:
            given = next(iter(field.recipes.values())).schedule.epochs
            schedule = scheduled(schedule.shape, given, *self.known(field)[:3])
        time = {"schedule.epochs": schedule.epochs, "schedule.warmup_epochs": round(schedule.epochs / 10, 2)}
        comparison = {
            "seeds": schedule.shape.seeds,
            "fractions": [*schedule.shape.fractions, 1.0],
            **({"folds": schedule.shape.folds} if schedule.shape.folds else {}),
            **of_comparison,
        }
        return StudyPlan(
            recipes={name: override(recipe, {**time, **self.settings}) for name, recipe in field.recipes.items()},
            choices=self.choices(field, schedule),
            paces=field.paces,
            schedule=schedule,
            comparison=comparison,
            doubt=doubt_about(schedule, *self.known(field)),
        )

    def choice_of_folds(self, shape: Shape) -> list[Choice]:
        """Return the folds, or why there are none where images are few."""
        if not self.work.foldable:
            return []
        if shape.folds:
            return [
                Choice("folds", shape.folds, "every image is tested once by each model and seed, for images are few")
            ]
        few = self.survey.images < FEW_IMAGES
        reason = "folds would take more time" if few else f"{self.survey.test:,} test images are set apart"
        return [Choice("folds", None, reason)]

    def choices(self, field: Field, schedule: Schedule) -> list[Choice]:
        first = next(iter(field.recipes.values()))
        cost = ", ".join(f"{name} {pace.parameters / 1e6:.2f} M" for name, pace in field.paces.items())
        shape = schedule.shape
        return [
            Choice("models", list(field.recipes), f"{field.why} (parameters: {cost})"),
            Choice(
                "data.image_size", first.data.image_size[0], f"of images with {self.survey.side} pixels, and the time"
            ),
            Choice("seeds", shape.seeds, "trainings of a model on all images"),
            *self.choice_of_folds(shape),
            Choice("fractions", [*shape.fractions, 1.0], "of the training images: what fewer labels cost"),
            Choice("schedule.epochs", schedule.epochs, "what fits into the time, the same for all"),
            Choice("training.batch_size", first.training.batch_size, f"for {self.survey.training:,} training images"),
            Choice("augment", [dict(step) for step in first.augment], "the same for all"),
            Choice("optimizer", f"{first.optimizer.name}, lr {first.optimizer.lr:g}", "the same for all"),
        ]


def show(plan: StudyPlan, overrides: Mapping[str, Any]) -> str:
    """Return a plan in words: what takes part and why, and how long every part of it is expected to take."""
    lines = [f"WARNING: {plan.doubt}"] if plan.doubt else []
    lines.append(show_choices(plan.choices, overrides))
    for name, pace in plan.paces.items():
        lines.append(
            f"  {name}: {pace.parameters:,} parameters, {pace.macs / 1e6:,.0f} M multiply-accumulates an image, "
            f"learns from {1 / pace.seconds_per_training_image:,.0f} images a second"
        )
    training, rest = clock(plan.schedule.training_seconds), clock(plan.schedule.concluding_seconds)
    lines.append(
        f"expected: {plan.trainings} trainings in {training}, then {rest} for changed images, timings and report"
    )
    return "\n".join(lines)
