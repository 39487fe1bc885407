"""What the verbs are given: recipes, folders to write to, images."""

import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import processes
from .. import recipe as recipes
from ..data import LISTS
from ..errors import UserError
from ..places import expanded
from ..recipe import TIMM, Comparison, Recipe
from ..say import print_line
from ..tables import TABLES

if TYPE_CHECKING:
    from ..checkpoint import Loaded


def load_recipe(source: str | Path | Recipe, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """Return a checked recipe from a path, a shipped name, or a recipe in memory."""
    if isinstance(source, Recipe):
        recipe = recipes.override(source, overrides or {}, TABLES)
    else:
        recipe = recipes.load(source, overrides or {}, TABLES)
    if recipe.optimizer.name.startswith(TIMM):
        check_timm_optimizer(recipe)
    return recipe


def check_timm_optimizer(recipe: Recipe) -> None:
    """Raise UserError for an optimizer that timm does not have or that cannot train here, which only timm can tell."""
    from ..training import timm_optimizers
    from ..training.precision import resolve_device

    timm_optimizers.check(recipe.optimizer, resolve_device(recipe.training.device))


def load_comparison(source: str | Path, overrides: Mapping[str, Any] | None = None) -> Comparison:
    """Return a checked comparison, all of whose recipes are right under its overrides."""
    comparison = recipes.load_comparison(source, overrides or {})
    varied = {"data.fraction": "fractions", "training.seed": "seeds"}
    for key in varied.keys() & comparison.overrides.keys():
        raise UserError(f"{key} is what a comparison varies; set {varied[key]} instead")
    for recipe in comparison.recipes:
        load_recipe(recipe, comparison.overrides)
    return comparison


def new_folder(out: str | Path | None, root: str, name: str) -> Path:
    """Return where to write: `out`, or a folder below `root` named by recipe and time. Nothing is made yet.

    Raises UserError where nothing can be written, and where several processes would each choose a name.
    """
    out = out if out is not None else processes.announced_folder()
    if out is not None:
        return place_to_write(out)
    if processes.started_outside():
        raise UserError("several processes write one run: say where with --out DIR")
    return place_to_write(Path(root) / f"{name}-{datetime.now():%Y%m%d-%H%M%S}")


def place_to_write(out: str | Path) -> Path:
    """Return a folder that can be made or written; raises UserError where a file stands in its way, or rights do."""
    folder = expanded(out)
    standing = next((place for place in (folder, *folder.absolute().parents) if os.path.lexists(place)), Path("/"))
    if not standing.is_dir():
        raise UserError(f"{folder}: {standing} is no folder, and one is needed there; choose another --out")
    if not os.access(standing, os.W_OK | os.X_OK):
        raise UserError(f"{folder}: nothing can be written into {standing}; choose another --out")
    return folder


def tell(loaded: "Loaded") -> "Loaded":
    """Say on stderr what was assumed of weights that were not written here."""
    if loaded.recipe is None:
        print_line(loaded.notes)
    return loaded


def is_data(source: str | Path | Recipe) -> bool:
    """Return whether it is a folder of images or a file that lists them, not a recipe."""
    return isinstance(source, str | Path) and (Path(source).is_dir() or Path(source).suffix.lower() in LISTS)


def image_files(paths: Sequence[str | Path]) -> list[Path]:
    """Return the files given, and those below the folders given, in order of name."""
    from ..data.reading import is_image_name

    files: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if is_image_name(p) and p.is_file())
            if not inside:
                raise UserError(f"{path} holds no images")
            files += inside
        elif path.exists():
            files.append(path)
        else:
            raise UserError(f"{path}: no such file or folder")
    return files
