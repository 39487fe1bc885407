"""`vit find-lr`: a recipe's loss at many learning rates, drawn, and the one that it may begin with."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from ..data.sources import datasets
from ..errors import UserError
from ..files import write_csv, write_text
from ..recipe import Recipe, load_recipe
from ..report.plots.learning_rate import learning_rates
from ..run_folder import new_folder
from ..terminal import plain_console
from ..training.lr_range_test import course, range_test, suggested
from ..training.trial_steps import Batch, Trial, make_trial


@dataclass(frozen=True)
class Finding:
    """The learning rates tried, the loss before the step at each, the one suggested, and where all of it lies."""

    lrs: np.ndarray
    losses: np.ndarray
    suggested: float | None
    current: float
    folder: Path


def find_lr(
    recipe: str | Path | Recipe,
    *,
    out: str | Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    steps: int = 100,
    lowest: float = 1e-6,
    highest: float = 10.0,
) -> Finding:
    """Train a copy of the recipe's model for one step at each of `steps` learning rates, and suggest one.

    Writes learning_rate.csv and learning_rate.svg into `out`. Raises UserError for what `train` refuses.
    """
    name = Path(recipe).stem if isinstance(recipe, str | Path) else recipe.model.name
    recipe = load_recipe(recipe, overrides)
    if not 0 < lowest < highest:
        raise UserError(f"learning rates from {lowest:g} to {highest:g}: give two above 0, the lower one first")
    folder = new_folder(out, "learning-rates", name)
    data = datasets.load(recipe.data)
    datasets.log_left_out(data)
    datasets.check_readable(data.train)
    trial = make_trial(recipe, data)
    lrs = np.geomspace(lowest, highest, steps)
    losses = range_test(
        trial.module,
        steps_of(trial, steps),
        trial.objective,
        trial.optimizer,
        lrs,
        trial.device,
        trial.autocast_type,
        recipe.training.clip_norm,
    )
    lrs = lrs[: len(losses)]
    finding = Finding(lrs, losses, suggested(lrs, losses), recipe.optimizer.lr, folder)
    write(finding)
    return finding


def steps_of(trial: Trial, steps: int) -> Iterator[list[Batch]]:
    """Yield the steps of epoch after epoch as `train` would see them, each a list of its parts."""
    batches = trial.batches()
    for _ in track(range(steps), "learning rates", console=plain_console(stderr=True), transient=True):
        yield [next(batches) for _ in range(trial.parts)]


def write(finding: Finding) -> None:
    lrs, losses, means = finding.lrs, finding.losses, course(finding.losses)
    columns = zip(lrs.tolist(), losses.tolist(), means.tolist(), strict=True)
    rows = [{"lr": lr, "loss": loss, "mean_loss": mean} for lr, loss, mean in columns]
    write_csv(finding.folder / "learning_rate.csv", rows)
    picture = learning_rates(lrs, losses, means, finding.suggested, finding.current)
    write_text(finding.folder / "learning_rate.svg", picture)


def show(finding: Finding) -> str:
    """Return the suggestion in words, and where the picture lies."""
    if finding.suggested is None:
        said = (
            f"the loss does not fall anywhere from {finding.lrs[0]:.0e} to {finding.lrs[-1]:.0e}: "
            "look at the data and the model first, or take more --steps"
        )
    else:
        said = f"the loss falls fastest at optimizer.lr={finding.suggested:.1e} (the recipe has {finding.current:.1e})"
    return f"{said}\n{(finding.folder / 'learning_rate.svg').as_posix()}"
