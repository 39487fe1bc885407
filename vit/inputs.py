"""What the verbs are given: recipes, folders to write to, images."""

import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import recipe as recipes
from .data import LISTS
from .errors import UserError
from .hardware import processes
from .places import expanded
from .progress import print_line
from .recipe import TIMM, Comparison, Recipe
from .registry.tables import TABLES

if TYPE_CHECKING:
    from .model import Loaded


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
    from .hardware.precision import resolve_device
    from .training import timm_optimizers

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


def image_files(paths: Sequence[str | Path]) -> tuple[list[Path], list[str]]:
    """Return the files given and the images below the folders given, in order of name; and what is not, with reasons.

    Below a folder hidden files are left out, and what is no image by its name. Raises UserError where nothing is left.
    """
    files: list[Path] = []
    complaints: list[str] = []
    for given in paths:
        path = _given(given)
        if os.path.isdir(path):
            inside, left_out = _images_below(path)
            files += inside
            complaints += left_out if inside or left_out else [f"{path} holds no images"]
        elif os.path.lexists(path) or not _is_absent(path):
            files.append(path)  # what it is, reading tells
        else:
            complaints.append(f"{given}: no such file or folder")
    if not files:
        raise UserError("\n".join(complaints))
    return files, complaints


def _given(path: str | Path) -> Path:
    """Return a path; ~ at its beginning is the home where nothing here is called so."""
    return Path(path if os.path.lexists(path) else os.path.expanduser(path))


def _is_absent(path: Path) -> bool:
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):
        return False  # it may be there, and cannot be looked at
    return False


def _images_below(folder: Path) -> tuple[list[Path], list[str]]:
    """Return the images below a folder, links to folders followed, and what looks like images and is not read."""
    from .data.decoding.reading import NOT_READ, is_hidden, is_image_name

    files: list[Path] = []
    complaints: list[str] = []
    seen = {os.path.realpath(folder)}

    def unreadable(error: OSError) -> None:
        complaints.append(f"{error.filename}: {error.strerror}")

    for place, folders, names in os.walk(folder, onerror=unreadable, followlinks=True):
        inside = {name: os.path.realpath(os.path.join(place, name)) for name in folders if not is_hidden(name)}
        folders[:] = [name for name, real in inside.items() if real not in seen]  # a link may lead back
        seen |= set(inside.values())
        for path in (Path(place, name) for name in names):
            if is_image_name(path):
                files.append(path)
            elif not is_hidden(path.name) and path.suffix.lower() in NOT_READ:
                complaints.append(f"{path}: {NOT_READ[path.suffix.lower()]}")
    return sorted(files), sorted(complaints)
