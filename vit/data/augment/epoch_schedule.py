"""What changes from epoch to epoch: the size of the images, which may be raised, and how strong randaugment is.

Training on small, easy images first, and on large, changed ones last, is what EfficientTrain does (Wang et al. 2023,
arXiv:2211.09703); it takes low frequencies where this takes a lower resolution.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Generic, TypeVar

from ...recipe import Recipe
from ...registry import TRANSFORMS
from ...registry.table import options_of
from ..preprocessing import Preprocessing

Made = TypeVar("Made")
NamedSteps = list[tuple[str, dict[str, Any]]]  # of `augment`, with their options


class EpochSchedule(Generic[Made]):
    """What `make` gives for an epoch's preprocessing and steps: once for every stage of the training.

    Raises ValueError, as `make` does for options that a step refuses, before anything is trained.
    """

    def __init__(
        self, recipe: Recipe, preprocessing: Preprocessing, make: Callable[[Preprocessing, NamedSteps], Made]
    ) -> None:
        self.recipe, self.preprocessing, self.make = recipe, preprocessing, make
        self.made: dict[str, Made] = {}
        self.by_epoch: dict[int, Made] = {}
        self.at(0)
        self.last = self.at(recipe.schedule.epochs)

    def at(self, epoch: int) -> Made:
        if epoch not in self.by_epoch:
            self.by_epoch[epoch] = self._stage(epoch)
        return self.by_epoch[epoch]

    def _stage(self, epoch: int) -> Made:
        size, steps = image_size_at(self.recipe, self.preprocessing, epoch), steps_at(self.recipe, epoch)
        key = f"{size} {steps}"
        if key not in self.made:
            self.made[key] = self.make(replace(self.preprocessing, image_size=size), steps)
        return self.made[key]


def image_size_at(recipe: Recipe, preprocessing: Preprocessing, epoch: int) -> tuple[int, int]:
    """Return height and width of an epoch's images."""
    schedule = recipe.schedule
    lower = schedule.lower_image_size if epoch < schedule.epochs - schedule.raised_epochs else None
    return lower or preprocessing.image_size


def steps_at(recipe: Recipe, epoch: int) -> NamedSteps:
    """Return an epoch's steps: the magnitude of randaugment grows linearly from 0 over the first epochs of a ramp."""
    usual = options_of(TRANSFORMS["randaugment"])["magnitude"].default
    share = min(1.0, epoch / recipe.schedule.augment_ramp_epochs) if recipe.schedule.augment_ramp_epochs else 1.0

    def as_strong(name: str, options: dict[str, Any]) -> dict[str, Any]:
        if name != "randaugment":
            return options
        return options | {"magnitude": round(share * options.get("magnitude", usual))}

    return [(name, as_strong(name, options)) for name, options in recipe.augment_steps()]
