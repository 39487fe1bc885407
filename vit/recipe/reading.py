"""From YAML to a checked recipe or comparison: found, read, overridden, and refused with all its mistakes at once.

Nothing here needs torch or a device: what a machine cannot carry out is refused where something is about to run.
"""

import os
import shlex
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ..errors import UserError, nearest
from ..registry import BY_PATH, DATASETS, LISTS
from .comparison import Comparison
from .mistakes import check_names, schema_mistakes
from .sections import OF_ALL_OPTIMIZERS, ONLY_WHERE, TIMM, Model, Recipe
from .types import names_of
from .values import changed, flattened, read_yaml, refuse

VARIED = {
    "data.fraction": "fractions",
    "training.seed": "seeds",
    "data.folds": "folds",
    "data.fold": "folds",
}  # by settings of a comparison


def shipped_folder() -> Path:
    """Return where the shipped recipes lie: inside the installed package, or beside it in a checkout."""
    installed = Path(__file__).parent.parent / "_recipes"
    return installed if installed.is_dir() else Path(__file__).parent.parent.parent / "recipes"


def shipped_names() -> list[str]:
    return sorted(path.stem for path in shipped_folder().glob("*.yaml"))


def find(source: str | Path) -> Path:
    """Return the file of a recipe given by path or by the name of a shipped one."""
    path = Path(source)
    if os.path.isfile(path):  # where Path.is_file raises OSError for a name that is too long
        return path
    shipped = shipped_folder() / f"{source}.yaml"
    if os.path.isfile(shipped):
        return shipped
    names = shipped_names()
    raise UserError(
        f"{source} is neither a file nor a shipped recipe{nearest(str(source), names)}\nshipped: {', '.join(names)}"
    )


def is_data(source: object) -> bool:
    """Return whether it is a folder of images or a file that lists them, not a recipe.

    A shipped recipe's name is the recipe, though a folder is called so too, as its results often are.
    """
    if not isinstance(source, str | Path) or str(source) in shipped_names():
        return False
    return Path(source).is_dir() or Path(source).suffix.lower() in LISTS


def names_data(source: object) -> bool:
    """Return whether it is a folder of images, a file that lists them, or a data set's name: nothing to be read."""
    named = str(source) in DATASETS and str(source) not in BY_PATH and not os.path.exists(str(source))
    return named or is_data(source)


def is_comparison(source: str | Path) -> bool:
    return "recipes" in read_yaml(find(source))


def load_recipe(source: str | Path | Recipe, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """Read a recipe from a path or a shipped name, or take one in memory, with some of its dotted keys changed.

    Every key is checked, the options of its model and of its transforms included; whether this machine can carry it
    out is not. Raises UserError with all mistakes, a line each: dotted path, what is wrong, the nearest legal name.
    """
    if isinstance(source, Recipe):
        return override(source, overrides or {})
    path = find(source)
    values = _override(read_yaml(path), overrides or {})
    if "recipes" in values:
        raise UserError(f"{path.name} is a comparison; run it with: vit compare {shlex.quote(str(source))}")
    return parse(values, where=path.name)


def check_learns_labels(recipe: Recipe, name: str) -> None:
    """Raise UserError for a recipe of another verb: one that learns without labels."""
    if recipe.pretraining:
        raise UserError(f"{name} learns without labels: vit pretrain {name}; or leave its section pretraining out")


def check_learns_without(recipe: Recipe, name: str) -> None:
    """Raise UserError for a recipe of another verb: one that learns labels."""
    if recipe.pretraining is None:
        raise UserError(f"{name} learns labels: vit train {name}; or add a section, pretraining.method=masked say")


def parse(values: dict[str, Any], where: str = "recipe") -> Recipe:
    """Turn plain values into a checked recipe; raises UserError as `load_recipe` does."""
    values = dict(values)
    if isinstance(values.get("model"), dict):
        values["model"] = _gather_options(values["model"], names_of(Model) - {"options"})
    if isinstance(values.get("optimizer"), dict) and _is_timm(values["optimizer"].get("name")):
        values["optimizer"] = _gather_options(values["optimizer"], OF_ALL_OPTIMIZERS)
    values, misnamed = check_names(values)
    recipe, mistakes = _validate(Recipe, values)
    refuse(mistakes + misnamed, where)
    assert isinstance(recipe, Recipe)
    return recipe


def override(recipe: Recipe, overrides: Mapping[str, Any]) -> Recipe:
    """Return a recipe with some of its dotted keys changed, checked again."""
    return parse(_override(recipe.to_dict(), overrides)) if overrides else recipe


def load_comparison(source: str | Path, overrides: Mapping[str, Any] | None = None) -> Comparison:
    """Read a comparison, all of whose recipes are right under its overrides; raises UserError as `load_recipe` does."""
    comparison = read_comparison(source, overrides or {})
    for key in VARIED.keys() & comparison.overrides.keys():
        raise UserError(f"{key} is what a comparison varies; set {VARIED[key]} instead")
    for recipe in comparison.recipes:
        check_learns_labels(load_recipe(recipe, comparison.overrides), recipe)
    for name, changes in comparison.variants.items():
        try:
            _check_variant(comparison, changes)
        except UserError as error:
            raise UserError(f"variants.{name}: {error}") from error
    return comparison


def _check_variant(comparison: Comparison, changes: Mapping[str, Any]) -> None:
    for key in VARIED.keys() & changes.keys():
        raise UserError(f"{key} is what a comparison varies; set {VARIED[key]} instead")
    load_recipe(comparison.recipes[0], {**comparison.overrides, **changes})


def read_comparison(source: str | Path, overrides: Mapping[str, Any]) -> Comparison:
    """Read a comparison, its recipes unread; overrides that are not its own keys go to every recipe."""
    path = find(source)
    values = read_yaml(path)
    if "recipes" not in values:
        raise UserError(f"{path.name} is a recipe, not a comparison; run it with: vit train {shlex.quote(str(source))}")
    own = {key: value for key, value in overrides.items() if key.split(".")[0] in names_of(Comparison)}
    rest = {key: value for key, value in overrides.items() if key not in own}
    values = _override(_with_recipes_beside(values, path), own)
    given = values.get("overrides")
    if given is None or isinstance(given, dict):  # sections too, each of whose keys is one of the recipes'
        values["overrides"] = flattened(given or {}) | rest
    if isinstance(values.get("variants"), dict):
        values["variants"] = {
            name: flattened(changes) if isinstance(changes, dict) else changes or {}
            for name, changes in values["variants"].items()
        }
    comparison, mistakes = _validate(Comparison, values)
    refuse(mistakes, path.name)
    assert isinstance(comparison, Comparison)
    return comparison


def _with_recipes_beside(values: dict[str, Any], comparison: Path) -> dict[str, Any]:
    """Return a comparison whose recipes are found beside its file, where they lie there and not in this folder."""
    named = values.get("recipes")
    if not isinstance(named, list):
        return values

    def place(name: Any) -> Any:
        beside = comparison.parent / str(name)
        return str(beside) if not os.path.isfile(str(name)) and os.path.isfile(beside) else name

    return values | {"recipes": [place(name) for name in named]}


def settings_that_differ(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    """Return the dotted keys in which two recipes, as plain values, describe another training."""
    flat_a, flat_b = flattened(a), flattened(b)
    keys = [key for key in {**flat_a, **flat_b} if flat_a.get(key) != flat_b.get(key)]
    return [key for key in keys if key not in ONLY_WHERE]


def _override(values: dict[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    return changed(_without_replaced_options(values, overrides.get("optimizer.name")), overrides)


def _without_replaced_options(values: dict[str, Any], name: Any) -> dict[str, Any]:
    """Leave out what only the optimizer has that `name` replaces: momentum and betas of ours, any option of timm's."""
    section = values.get("optimizer")
    if not isinstance(section, dict) or name in (None, section.get("name")):
        return values
    if not _is_timm(name) and not _is_timm(section.get("name")):
        return values
    return values | {"optimizer": {key: value for key, value in section.items() if key in OF_ALL_OPTIMIZERS}}


def _is_timm(name: Any) -> bool:
    return isinstance(name, str) and name.startswith(TIMM)


def _gather_options(section: dict[str, Any], own: Collection[str]) -> dict[str, Any]:
    kept = {key: value for key, value in section.items() if key in own}
    return kept | {"options": {key: value for key, value in section.items() if key not in own}}


def _validate(cls: type, values: dict[str, Any]) -> tuple[Any, list[str]]:
    try:
        return TypeAdapter(cls).validate_python(values), []
    except ValidationError as error:
        return None, schema_mistakes(cls, error)
