"""A plan as files: a recipe for every model and the comparison of them, to be read, changed and run again."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ..errors import UserError
from ..files import json_text, read_memory, write_texts
from ..recipe import Recipe
from .pace import Pace
from .plan import StudyPlan

FOLDER = "plan"  # below the comparison's
ASKED = "asked.json"


@dataclass(frozen=True)
class Asked:
    """What a plan was asked for; another question needs another plan."""

    data: str
    time_limit: str
    models: str | None
    settings: dict[str, Any]

    def command(self) -> str:
        words = ["vit", "compare", self.data, "--time-limit", self.time_limit]
        words += [] if self.models is None else ["--models", self.models]
        return shlex.join([*words, *(f"{key}={value}" for key, value in self.settings.items())])


def comparison_file(folder: Path, asked: Asked) -> Path:
    name = Path(asked.data).stem or "data"
    return folder / FOLDER / f"compare_{name}.yaml"


def write_plan(plan: StudyPlan, asked: Asked, folder: Path) -> Path:
    """Write the recipes and the comparison, and return the file of the latter, written last."""
    place = folder / FOLDER
    recipes = {f"{name}.yaml": recipe for name, recipe in plan.recipes.items()}
    texts = {comparison_file(folder, asked): comparison_text(plan, asked, list(recipes))}
    texts[place / ASKED] = json_text(vars(asked))
    for (file, recipe), pace in zip(recipes.items(), plan.paces.values(), strict=True):
        texts[place / file] = recipe_text(recipe, pace, asked, place / file)
    place.mkdir(parents=True, exist_ok=True)
    write_texts(texts)
    return comparison_file(folder, asked)


def begun(folder: Path, asked: Asked) -> Path | None:
    """Return the comparison that was planned before, to go on with it; None where there is none, or nothing trained.

    Raises UserError where trainings were made for another question.
    """
    file = comparison_file(folder, asked)
    kept = read_memory(folder / FOLDER / ASKED)
    if kept is None or not file.is_file():
        return None
    if kept == vars(asked):
        return file
    if not (folder / "runs").is_dir():
        return None
    differ = ", ".join(key for key, value in vars(asked).items() if kept.get(key) != value)
    raise UserError(
        f"{folder} was begun with other {differ}; to go on: {Asked(**kept).command()}; "
        "to begin another comparison choose another --out"
    )


def recipe_text(recipe: Recipe, pace: Pace, asked: Asked, file: Path) -> str:
    start = f"from {recipe.model.pretrained}" if recipe.model.pretrained else "from scratch"
    header = [
        f"{recipe.model.name}, {pace.parameters:,} parameters, {start}, {recipe.schedule.epochs} epochs",
        f"  vit train {shlex.quote(file.as_posix())}",
        f"Planned by: {asked.command()}",
        f"Not measured yet; planned with {1 / pace.seconds_per_training_image:.0f} training images/s on this machine.",
    ]
    return "".join(f"# {line}\n" for line in header) + recipe.to_yaml()


def comparison_text(plan: StudyPlan, asked: Asked, recipes: list[str]) -> str:
    header = [
        f"{', '.join(plan.recipes)} on {asked.data}",
        f"  {asked.command()}",
        f"Planned: {plan.trainings} trainings; with the report about {plan.schedule.seconds / 60:.0f} minutes here.",
    ]
    values = {"recipes": recipes, **plan.comparison, "time_limit": asked.time_limit}
    return "".join(f"# {line}\n" for line in header) + yaml.safe_dump(values, sort_keys=False)
