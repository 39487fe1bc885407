"""Weights & Biases, where a recipe asks for it: it never blocks a run, and works without an account."""

import sys
from typing import Any, Literal

from lightning.pytorch.loggers import Logger

from .. import processes
from ..errors import UserError
from ..recipe import Recipe
from ..run_folder import RunFolder

Mode = Literal["online", "offline"]


def find_mode(recipe: Recipe, run: RunFolder) -> Mode | None:
    """Return how W&B will log, or None where the recipe does not ask for it; raises UserError for a refused key."""
    if not recipe.logging.wandb or not processes.is_first():
        return None
    import wandb
    from wandb.errors import AuthenticationError

    try:
        known = wandb.login(prompt=False)
    except AuthenticationError as error:
        raise UserError(f"W&B refuses its key: {error}; log in again, or set WANDB_MODE=offline") from error
    if known:
        return "online"
    print(f"no W&B account here: logging offline; later: wandb sync {run.path}/wandb/offline-*", file=sys.stderr)
    return "offline"


def make_loggers(recipe: Recipe, run: RunFolder, mode: Mode | None) -> list[Logger]:
    if mode is None:
        return []
    from lightning.pytorch.loggers import WandbLogger

    logger = WandbLogger(name=run.path.name, save_dir=run.path, project=recipe.logging.project, mode=mode)
    logger.log_hyperparams(recipe.to_dict())
    return [logger]


def finish(mode: Mode | None, summary: dict[str, Any]) -> None:
    """Close the log, which is then whole on disk, or sent."""
    if mode:
        import wandb

        assert wandb.run is not None
        wandb.run.summary.update(summary)
        wandb.finish()
