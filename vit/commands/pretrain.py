"""`vit pretrain`: images without labels become a trunk that learns labels sooner, and a word on whether that pays."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..folder_lock import at_work
from ..messages import quieted
from ..planning.choices import show
from ..planning.pretraining import choose
from ..recipe import Recipe, check_learns_without, load_recipe, names_data
from ..run_folder import RunFolder, new_folder
from ..training.run import run_training

logger = logging.getLogger(__name__)


def pretrain(
    source: str | Path | Recipe,
    *,
    out: str | Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    resume: bool = False,
    quiet: bool = False,
) -> RunFolder:
    """Learn from images without their labels, as a recipe says or as suits a folder, and return the run folder.

    Of a folder, size, network and epochs are chosen; `overrides` change any of it. Raises as `train` does.
    """
    overrides = dict(overrides or {})
    if isinstance(source, str | Path) and names_data(source):
        name = Path(source).name or "images"
        recipe, choices, outlook = choose(source, overrides)
        with quieted(quiet):
            logger.info(show(choices, overrides))
            logger.info(outlook)
    else:
        name = Path(source).stem if isinstance(source, str | Path) else source.model.name
        recipe = load_recipe(source, overrides)
    check_learns_without(recipe, name)
    run = RunFolder(new_folder(out, "runs", f"pretrain-{name.removeprefix('pretrain_')}"))
    with at_work(run.path):
        return run_training(run, recipe, resume=resume, quiet=quiet)
