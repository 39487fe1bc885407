"""Weights & Biases, where a recipe asks for it: it never blocks a run, and works without an account."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..errors import UserError
from ..hardware import processes
from ..recipe import Recipe
from ..run_folder import RunFolder

if TYPE_CHECKING:
    from lightning.pytorch.loggers import Logger
    from torch import Tensor

logger = logging.getLogger(__name__)

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
    logger.warning(f"no W&B account here: logging offline; later: wandb sync {run.path}/wandb/offline-*")
    return "offline"


def make_loggers(recipe: Recipe, run: RunFolder, mode: Mode | None) -> "list[Logger]":
    if mode is None:
        return []
    from lightning.pytorch.loggers import WandbLogger

    experiment = WandbLogger(name=run.path.name, save_dir=run.path, project=recipe.logging.project, mode=mode)
    experiment.log_hyperparams(recipe.to_dict())
    return [experiment]


def finish(mode: Mode | None, summary: dict[str, Any], classes: Sequence[str], confusion: "Tensor | None") -> None:
    """Log what a run ends with, and close the log, which is then whole on disk, or sent."""
    if mode is None:
        return
    import wandb

    assert wandb.run is not None
    if confusion is not None:
        wandb.run.log({"validation_confusion_matrix": confusion_chart(confusion.tolist(), classes)})
    wandb.run.summary.update(summary)
    wandb.finish()


def confusion_chart(confusion: list[list[float]], classes: Sequence[str]) -> Any:
    """Return W&B's own chart, from counts; its function takes single answers."""
    import wandb

    cells = [
        [classes[true], classes[given], int(count)]
        for true, row in enumerate(confusion)
        for given, count in enumerate(row)
    ]
    columns: list[Any] = ["Actual", "Predicted", "nPredictions"]
    table = wandb.Table(columns=columns, data=cells)
    return wandb.plot_table("wandb/confusion_matrix/v1", table, {name: name for name in columns})


def log_report(recipe: Recipe, folder: Path, title: str) -> None:
    """Keep a comparison's report as an artifact, where its recipe asks for W&B."""
    mode = find_mode(recipe, RunFolder(folder))
    if mode is None:
        return
    import wandb

    with wandb.init(project=recipe.logging.project, dir=folder, name=title, job_type="compare", mode=mode) as run:
        artifact = wandb.Artifact(f"report-{title}".replace(" ", "-"), type="report")
        for name in ("report.html", "report.md", "results.json", "results.csv"):
            artifact.add_file(str(folder / name))
        run.log_artifact(artifact)
