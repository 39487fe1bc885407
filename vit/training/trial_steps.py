"""Steps of a recipe's training outside of a training: nothing is written, and nobody waits for an epoch to end."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ..data.loading.order import Position
from ..data.sources.datasets import Dataset
from ..hardware.precision import AUTOCAST_TYPES, resolve_device, resolve_precision
from ..hardware.processes import ALONE
from ..kernels.choose import choose_kernels
from ..model import Model
from ..recipe import Recipe
from .checks import check_batches_of_one, check_optimizer
from .objectives import Step
from .optim import make_optimizer
from .placement import Placement
from .setup import Learner, find_parts, make_learner, make_model, make_objective, read_weights
from .task import seed_generators

Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Trial:
    """A model that learns, with all that a step needs; its own, so that no training is touched."""

    recipe: Recipe
    model: Model
    learner: Learner
    module: nn.Module
    objective: Step
    optimizer: Optimizer
    scaler: Any
    parts: int
    device: str
    autocast_type: torch.dtype | None

    def batches(self) -> Iterator[Batch]:
        """Yield the batches of epoch after epoch as a training sees them, on the device."""
        for epoch in count():
            for inputs, labels in self.learner.loaders.training(
                self.parts, ALONE, Position(epoch), torch.device(self.device)
            ):
                yield self.learner.prepare_batch(inputs.to(self.device), labels.to(self.device))

    def step(self, parts: Sequence[Batch]) -> float:
        """Take one step on its parts and return the loss before it."""
        clip_norm = self.recipe.training.clip_norm
        return take_step(
            self.module, parts, self.objective, self.optimizer, self.scaler, self.device, self.autocast_type, clip_norm
        )


def take_step(
    module: nn.Module,
    parts: Sequence[Batch],
    objective: Step,
    optimizer: Optimizer,
    scaler: Any,
    device: str,
    autocast_type: torch.dtype | None,
    clip_norm: float | None,
) -> float:
    """Take one step, whose parts are inputs and targets on the device, and return the loss before it."""
    total = 0.0
    for inputs, targets in parts:
        with torch.autocast(device, autocast_type, enabled=autocast_type is not None):
            loss, _ = objective(module, inputs, targets)
        value = loss / len(parts)
        scaler.scale(value).backward()
        total += float(value.detach())
    if clip_norm is not None:
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(module.parameters(), clip_norm)
    scaler.step(optimizer)
    scaler.update()
    optimizer.zero_grad()
    return total


def make_trial(recipe: Recipe, data: Dataset) -> Trial:
    """Build what a recipe trains; raises UserError for what `train` refuses."""
    device = resolve_device(recipe.training.device)
    check_optimizer(recipe, device)
    precision, _ = resolve_precision(recipe.training.precision, device)
    weights = read_weights(recipe)
    seed_generators(recipe.training.seed)
    torch.cuda.manual_seed_all(recipe.training.seed)  # of GPUs that are not in use yet, too
    model = make_model(recipe, data, weights)
    learner = make_learner(recipe, model, data, device)
    choose_kernels(learner.module, recipe.data.image_size, precision, device)
    placement = Placement(device, 1, 1, "single")
    parts = find_parts(recipe, learner, data, placement, precision)
    check_batches_of_one(recipe, model.module, data, parts, placement)
    module = learner.module.to(device).train()
    return Trial(
        recipe=recipe,
        model=model,
        learner=learner,
        module=module,
        objective=make_objective(module, model, data.train.labels, device).to(device),
        optimizer=make_optimizer(module, recipe.optimizer, scaled_gradients=precision == "fp16"),
        scaler=torch.amp.GradScaler(device, enabled=precision == "fp16"),
        parts=parts,
        device=device,
        autocast_type=AUTOCAST_TYPES[precision],
    )
