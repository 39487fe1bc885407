"""The trainings a comparison is made of: planned from its recipes, or found finished."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, count
from pathlib import Path
from typing import Any

from ..data.sources import contents, datasets
from ..errors import UserError
from ..recipe import Comparison, Recipe, load_recipe, override
from ..run_folder import RunFolder
from .recipes import recipes_of

# They decide which images are tested, and how many of the others validate; which ones, data.resample_seed may draw.
DATA_KEYS = ("name", "path", "validation_fraction", "test_fraction", "split_seed", "groups", "folds")


@dataclass(frozen=True)
class PlannedRun:
    """One training of a comparison: which model, on how much data, with which seed, and where it is kept."""

    model: str
    recipe: Recipe
    fraction: float
    seed: int
    folder: RunFolder
    judged_on: str = "test"  # the split that its accuracy is told of

    @property
    def fold(self) -> int | None:
        """Return which fold it tests, where there are any."""
        return self.recipe.data.fold

    def title(self) -> str:
        if self.judged_on != "test":
            return f"{self.model}  {self.folder.path.name}"
        fold = "" if self.fold is None else f"  fold {self.fold}"
        return f"{self.model}  fraction {self.fraction:g}  seed {self.seed}{fold}"

    def work(self) -> float:
        """Return how much there is to do, in epochs of the whole training set."""
        return self.recipe.schedule.epochs * self.fraction


TrainAll = Callable[[list[PlannedRun], int | None], None]  # the planned ones, and how many side by side


def plan(comparison: Comparison, folder: Path, own: Mapping[str, Mapping[str, Any]] | None = None) -> list[PlannedRun]:
    """Return every training: the models in turn, so that a first picture of all of them comes early.

    `own` holds settings of single models, by their names.
    """
    recipes, overrides = recipes_of(comparison), comparison.overrides
    if overrides.get("training.devices", 1) != 1 or overrides.get("training.nodes", 1) != 1:
        raise UserError(
            "training.devices and training.nodes are for `vit train`; a comparison runs a process a training"
        )
    changes = [
        {"data.fraction": fraction, "training.seed": seed}
        | ({"data.resample_seed": seed} if comparison.resample else {})
        | changes_of_fold(comparison, fold)
        for seed in range(comparison.seeds)
        for fraction in sorted(comparison.fractions, reverse=True)
        for fold in range(comparison.folds or 1)
    ]
    return [
        PlannedRun(
            recipe.name,
            recipe.read(change | dict((own or {}).get(recipe.name, {}))),
            change["data.fraction"],
            change["training.seed"],
            RunFolder(folder / "runs" / recipe.folder / folder_name(change)),
        )
        for change in changes
        for recipe in recipes
    ]


def changes_of_fold(comparison: Comparison, fold: int) -> dict[str, Any]:
    """Return the settings of one fold; none where there are no folds."""
    return {"data.folds": comparison.folds, "data.fold": fold} if comparison.folds else {}


def folder_name(change: Mapping[str, Any]) -> str:
    name = f"fraction-{change['data.fraction']:g}-seed-{change['training.seed']}"
    return f"{name}-fold-{change['data.fold']}" if "data.fold" in change else name


def not_finished(planned: list[PlannedRun]) -> list[PlannedRun]:
    return [p for p in planned if not p.folder.scores(p.judged_on).exists()]


def name_finished(folders: Sequence[RunFolder]) -> list[PlannedRun]:
    """Return finished runs, those of one recipe under one name: its settings but for seeds and fraction are the same.

    Raises UserError for the same model, seed and fraction given twice.
    """
    planned: list[PlannedRun] = []
    names: dict[str, str] = {}
    for folder in folders:
        recipe = load_recipe(folder.recipe)
        fraction, seed = recipe.data.fraction, recipe.training.seed
        drawn = recipe.data.resample_seed is not None
        varied: dict[str, Any] = {"data.fraction": 1.0, "training.seed": 0, "data.resample_seed": 0 if drawn else None}
        varied |= {"data.fold": None if recipe.data.fold is None else 0, "data.groups": None}
        kind = override(recipe, varied).to_yaml()
        if kind not in names:
            names[kind] = unused_name(recipe, set(names.values()))
        run = PlannedRun(names[kind], recipe, fraction, seed, folder)
        twin = next(
            (p for p in planned if (p.model, p.fraction, p.seed, p.fold) == (run.model, fraction, seed, run.fold)), None
        )
        if twin and twin.recipe.data.resample_seed != recipe.data.resample_seed:
            raise UserError(
                f"{folder.path} and {twin.folder.path} differ in data.resample_seed alone; "
                "trainings of one model are told apart by training.seed: train each with its own"
            )
        if twin:
            raise UserError(f"{folder.path} and {twin.folder.path} are the same training: settings and seed are equal")
        planned.append(run)
    return planned


def unused_name(recipe: Recipe, taken: set[str]) -> str:
    """Return the model's name with its attention module, numbered where another recipe has it."""
    attention = recipe.model.options.get("attention", "none")
    name = recipe.model.name + ("" if attention == "none" else f"_{attention}")
    numbered = (f"{name}_{i}" for i in count(2))
    return next(free for free in chain([name], numbered) if free not in taken)


def check_same_data(planned: list[PlannedRun]) -> None:
    """Refuse models that would not be tested on the same images, and data that cannot be read.

    Also where a run that exists was trained on images that are others now, under the same names or in other splits.
    """
    first = planned[0]
    for other in planned:
        for key in DATA_KEYS:
            ours, theirs = getattr(first.recipe.data, key), getattr(other.recipe.data, key)
            if ours != theirs:
                raise UserError(
                    f"data.{key} is {ours} in {first.model} and {theirs} in {other.model}; "
                    "models are compared on the same images: give both one value"
                )
    dataset = datasets.load(replace(first.recipe.data, fraction=1.0))
    datasets.log_left_out(dataset)
    if dataset.test.multilabel:
        raise UserError("a comparison judges one label an image, and these images may have several")
    datasets.check_readable(dataset.train, dataset.validation, dataset.test)
    for fold in range(1, first.recipe.data.folds or 1):
        datasets.load(replace(first.recipe.data, fraction=1.0, fold=fold))
    now: dict[tuple[int | None, int | None], contents.Contents] = {}
    for p in planned:
        kept = contents.read(p.folder.images)
        if kept is None:
            continue
        drawn_by = p.recipe.data.resample_seed, p.fold
        if drawn_by not in now:
            section = replace(first.recipe.data, fraction=1.0, resample_seed=drawn_by[0], fold=drawn_by[1])
            own = dataset if drawn_by == (first.recipe.data.resample_seed, first.fold) else datasets.load(section)
            now[drawn_by] = contents.contents_of(own)
        advice = "put them back, or compare anew in another --out"
        contents.check_unchanged(kept, now[drawn_by], str(p.folder.path), advice)


def check_same_settings(planned: list[PlannedRun]) -> None:
    """Refuse to continue runs that were started with other settings than the ones wanted now."""
    for p in planned:
        if p.folder.recipe.exists():
            p.folder.is_finished(p.recipe, resume=True)
