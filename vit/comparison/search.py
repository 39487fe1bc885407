"""Each model's own recipe: learning rate and weight decay, by one budget for all, judged on validation alone."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..errors import UserError
from ..files import read_json
from ..randomness import derive_seed
from ..recipe import Comparison
from ..report.results import Search, Trial
from ..run_folder import RunFolder
from .plan import PlannedRun, TrainAll, changes_of_fold, check_same_settings
from .recipes import recipes_of

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
    planned = []
    for trial in range(comparison.trials):
        for named in recipes_of(comparison):
            optimizer = named.read().optimizer
            by_lr, by_decay = factors(trial)
            settings = {
                "optimizer.lr": float(f"{optimizer.lr * by_lr:.3g}"),
                "optimizer.weight_decay": float(f"{optimizer.weight_decay * by_decay:.3g}"),
            }
            changes = {"data.fraction": fraction, "training.seed": SEED} | changes_of_fold(comparison, 0) | settings
            place = RunFolder(folder / "search" / named.folder / f"trial-{trial}")
            run = PlannedRun(named.name, named.read(changes), fraction, SEED, place, judged_on="validation")
            planned.append(run)
    return planned


def search(comparison: Comparison, folder: Path, train: TrainAll, jobs: int | None) -> tuple[Own, Search]:
    """Carry out the trials that are missing; return each model's best settings, and the rows of all for the report."""
    planned = trials_of(comparison, folder)
    check_same_settings(planned)
    train(planned, jobs)
    trials = [trial_of(p) for p in planned]
    best: dict[str, Trial] = {}
    for trial in trials:
        if trial.model not in best or trial.validation_top1 > best[trial.model].validation_top1:
            best[trial.model] = trial
    hopeless = [name for name, trial in best.items() if trial.diverged]
    if hopeless:
        raise UserError(f"every trial of {', '.join(hopeless)} diverged; begin with a lower optimizer.lr")
    own: Own = {
        name: {"optimizer.lr": trial.lr, "optimizer.weight_decay": trial.weight_decay} for name, trial in best.items()
    }
    rows = [replace(trial, chosen=trial is best[trial.model]) for trial in trials]
    rows.sort(key=lambda row: list(best).index(row.model))
    return own, Search(comparison.trials, rows)


def trial_of(planned: PlannedRun) -> Trial:
    """Return what came of a trial; none is chosen yet."""
    scores = read_json(planned.folder.scores("validation"))
    return Trial(
        model=planned.model,
        trial=int(planned.folder.path.name.removeprefix("trial-")),
        lr=planned.recipe.optimizer.lr,
        weight_decay=planned.recipe.optimizer.weight_decay,
        validation_top1=scores["top1"],
        diverged=scores.get("diverged", False),
        chosen=False,
    )
