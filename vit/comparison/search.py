"""Each model's own recipe: learning rate and weight decay, by one budget for all, judged on validation alone."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserError
from ..files import read_json
from ..randomness import derive_seed
from ..recipe import Comparison, load_recipe
from ..run_folder import RunFolder
from .plan import PlannedRun, TrainAll, check_same_settings, names_of

SEED = 1_000  # of every trial; no seed that is compared comes so high
WIDEST = 10.0  # times, or a tenth of, what the recipe says

Own = dict[str, Mapping[str, float]]  # by model: the settings that were best


def factors(trial: int) -> tuple[float, float]:
    """Return by what a trial multiplies learning rate and decay, log-uniformly drawn; the first leaves them alone."""
    if trial == 0:
        return 1.0, 1.0
    drawn = np.random.default_rng(derive_seed("own_recipe", trial)).uniform(-1, 1, 2)
    return float(WIDEST ** drawn[0]), float(WIDEST ** drawn[1])


def trials_of(comparison: Comparison, folder: Path) -> list[PlannedRun]:
    """Return the trainings of the search: every model meets the same factors, on the largest fraction of the data."""
    fraction = max(comparison.fractions)
    names = names_of(comparison)
    planned = []
    for trial in range(comparison.trials):
        for name, source in zip(names, comparison.recipes, strict=True):
            recipe = load_recipe(source, comparison.overrides)
            by_lr, by_decay = factors(trial)
            settings = {
                "optimizer.lr": float(f"{recipe.optimizer.lr * by_lr:.3g}"),
                "optimizer.weight_decay": float(f"{recipe.optimizer.weight_decay * by_decay:.3g}"),
            }
            changes = {"data.fraction": fraction, "training.seed": SEED} | settings
            place = RunFolder(folder / "search" / Path(source).stem / f"trial-{trial}")
            recipe = load_recipe(source, comparison.overrides | changes)
            planned.append(PlannedRun(name, recipe, fraction, SEED, place, judged_on="validation"))
    return planned


def search(comparison: Comparison, folder: Path, train: TrainAll, jobs: int | None) -> tuple[Own, dict[str, Any]]:
    """Carry out the trials that are missing; return each model's best settings, and the rows of all for the report."""
    planned = trials_of(comparison, folder)
    check_same_settings(planned)
    train(planned, jobs)
    rows = [row_of(p) for p in planned]
    best: dict[str, dict[str, Any]] = {}
    for row in rows:
        if row["model"] not in best or row["validation_top1"] > best[row["model"]]["validation_top1"]:
            best[row["model"]] = row
    hopeless = [name for name, row in best.items() if row["diverged"]]
    if hopeless:
        raise UserError(f"every trial of {', '.join(hopeless)} diverged; begin with a lower optimizer.lr")
    for row in rows:
        row["chosen"] = row is best[row["model"]]
    own: Own = {
        name: {"optimizer.lr": row["lr"], "optimizer.weight_decay": row["weight_decay"]} for name, row in best.items()
    }
    rows.sort(key=lambda row: list(best).index(row["model"]))
    return own, {"trials": comparison.trials, "rows": rows}


def row_of(trial: PlannedRun) -> dict[str, Any]:
    scores = read_json(trial.folder.scores("validation"))
    return {
        "model": trial.model,
        "trial": int(trial.folder.path.name.removeprefix("trial-")),
        "lr": trial.recipe.optimizer.lr,
        "weight_decay": trial.recipe.optimizer.weight_decay,
        "validation_top1": scores["top1"],
        "diverged": scores.get("diverged", False),
    }
