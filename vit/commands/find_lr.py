"""`vit find-lr`: a recipe's loss at many learning rates, drawn, and the one that it may begin with."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import track

from ..data.loading.order import Position
from ..data.sources import datasets
from ..errors import UserError
from ..files import write_csv, write_text
from ..hardware.precision import AUTOCAST_TYPES, resolve_device, resolve_precision
from ..hardware.processes import ALONE
from ..recipe import Recipe, load_recipe
from ..report.plots.learning_rate import learning_rates
from ..run_folder import new_folder
from ..terminal import plain_console
from ..training.checks import check_batches_of_one, check_optimizer
from ..training.loss import Loss
from ..training.lr_range_test import Batch, course, range_test, suggested
from ..training.optim import make_optimizer
from ..training.placement import Placement
from ..training.setup import Learner, find_parts, make_learner, make_model, read_weights
from ..training.task import seed_generators


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
    device = resolve_device(recipe.training.device)
    check_optimizer(recipe, device)
    precision, _ = resolve_precision(recipe.training.precision, device)
    data = datasets.load(recipe.data)
    datasets.log_left_out(data)
    datasets.check_readable(data.train)
    seed_generators(recipe.training.seed)
    torch.cuda.manual_seed_all(recipe.training.seed)  # of GPUs that are not in use yet, too
    model = make_model(recipe, data, read_weights(recipe))
    learner = make_learner(recipe, model, data, device)
    placement = Placement(device, 1, 1, "single")
    parts = find_parts(recipe, learner, data, placement, precision)
    check_batches_of_one(recipe, model.module, data, parts, placement)
    module = learner.module.to(device).train()
    lrs = np.geomspace(lowest, highest, steps)
    losses = range_test(
        module,
        steps_of(learner, parts, device, steps),
        Loss(recipe.training, len(data.classes), data.train.labels).to(device),
        make_optimizer(module, recipe.optimizer, scaled_gradients=precision == "fp16"),
        lrs,
        device,
        AUTOCAST_TYPES[precision],
        recipe.training.clip_norm,
    )
    lrs = lrs[: len(losses)]
    finding = Finding(lrs, losses, suggested(lrs, losses), recipe.optimizer.lr, folder)
    write(finding)
    return finding


def steps_of(learner: Learner, parts: int, device: str, steps: int) -> Iterator[list[Batch]]:
    """Yield the steps of epoch after epoch as `train` would see them, each a list of its parts."""
    batches = batches_of(learner, parts, device)
    for _ in track(range(steps), "learning rates", console=plain_console(stderr=True), transient=True):
        yield [next(batches) for _ in range(parts)]


def batches_of(learner: Learner, parts: int, device: str) -> Iterator[Batch]:
    for epoch in count():
        for inputs, labels in learner.loaders.training(parts, ALONE, Position(epoch), torch.device(device)):
            yield learner.prepare_batch(inputs.to(device), labels.to(device))


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
