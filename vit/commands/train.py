"""`vit train`: a recipe becomes a run folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..folder_lock import at_work
from ..recipe import Recipe, check_learns_labels, load_recipe
from ..run_folder import RunFolder, new_folder
from ..training.run import run_training


def train(
    recipe: str | Path | Recipe,
    *,
    out: str | Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    resume: bool = False,
    quiet: bool = False,
) -> RunFolder:
    """Train what the recipe describes and return its run folder.

    `resume` continues after the last step that was saved. Raises UserError, with nothing written, for a recipe, data
    or weights that do not fit, and for a folder that already holds a run or where another command is at work; and,
    with the last checkpoint kept, for a training that diverges or a disk that is full. Raises Interrupted when a
    signal ended the run.
    """
    name = Path(recipe).stem if isinstance(recipe, str | Path) else recipe.model.name
    recipe = load_recipe(recipe, overrides)
    check_learns_labels(recipe, name)
    run = RunFolder(new_folder(out, "runs", name))
    with at_work(run.path):
        return run_training(run, recipe, resume=resume, quiet=quiet)
