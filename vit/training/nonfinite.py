"""A loss that is no number ends the run, before it can reach a checkpoint."""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from ..errors import UserError
from ..files import write_json
from ..recipe import Recipe
from .sharding import any_process
from .task import Task

BATCHES_BETWEEN_LOOKS = {"cpu": 1, "cuda": 25}  # a look makes the processor wait for the GPU
FILES_SHOWN = 5


@dataclass(frozen=True)
class Divergence:
    """Where a training lost its way: the first step whose loss, or whose weights afterwards, were not finite."""

    step: int
    epoch: int
    what: str
    value: str
    lr: float
    files: list[str]


class NonFiniteGuard(Callback):
    """Looks at every loss, and at the weights before they are saved; raises UserError for what is not finite."""

    def __init__(self, report: Path, checkpoint: Path, precision: str):
        self.report = report
        self.checkpoint = checkpoint
        self.precision = precision
        self._losses: list[tuple[int, float, Tensor]] = []  # batch, learning rate, loss: not looked at yet
        self._lr = 0.0
        self._latest = (0, 0.0)  # batch and learning rate

    def on_train_batch_start(self, trainer: L.Trainer, task: L.LightningModule, batch, batch_idx: int) -> None:
        self._lr = max(group["lr"] for group in trainer.optimizers[0].param_groups)

    def on_train_batch_end(self, trainer: L.Trainer, task: Task, outputs, batch, batch_idx: int) -> None:
        self._latest = (batch_idx, self._lr)
        self._losses.append((*self._latest, outputs["loss"].detach()))
        if len(self._losses) >= BATCHES_BETWEEN_LOOKS[task.device.type] or trainer.is_last_batch:
            self.check(trainer, task)

    def check(self, trainer: L.Trainer, task: Task, at_weights: bool = False) -> None:
        """Raise UserError, in every process, if any has met a loss that is not finite."""
        found = self._first_bad_loss(trainer)
        if at_weights and found is None and not all(p.detach().isfinite().all() for p in task.parameters()):
            found = self._divergence(trainer, *self._latest, "weights after", "are not finite")
        self._losses.clear()
        if not any_process(trainer, found is not None)[0]:
            return
        if trainer.world_size > 1:
            everywhere: list[Divergence | None] = [None] * trainer.world_size
            torch.distributed.all_gather_object(everywhere, found)
            found = next(d for d in everywhere if d is not None)
        assert found is not None
        if trainer.is_global_zero:
            write_json(self.report, asdict(found))
        raise UserError(self.message(found, task.recipe))

    def _first_bad_loss(self, trainer: L.Trainer) -> Divergence | None:
        if not self._losses:
            return None
        values = torch.stack([loss for _, _, loss in self._losses]).tolist()
        for (batch, lr, _), value in zip(self._losses, values, strict=True):
            if not math.isfinite(value):
                return self._divergence(trainer, batch, lr, "loss of", f"is {value}")
        return None

    def _divergence(self, trainer: L.Trainer, batch: int, lr: float, what: str, value: str) -> Divergence:
        epoch, batches = trainer.current_epoch, int(trainer.num_training_batches)
        step = (epoch * batches + batch) // trainer.accumulate_grad_batches + 1
        batches_of_run: Any = trainer.train_dataloader
        return Divergence(step, epoch + 1, what, value, lr, batches_of_run.batch_sampler.names(epoch, batch))

    def message(self, found: Divergence, recipe: Recipe) -> str:
        """Return what happened, what is kept, and what usually helps."""
        shown = ", ".join(found.files[:FILES_SHOWN]) + (", ..." if len(found.files) > FILES_SHOWN else "")
        kept = (
            f"kept: {self.checkpoint}, from before" if self.checkpoint.exists() else "no checkpoint was written before"
        )
        advice = [f"a lower optimizer.lr (now {recipe.optimizer.lr:g}), or more schedule.warmup_epochs"]
        if recipe.training.clip_norm is None:
            advice.append("training.clip_norm=1.0")
        if self.precision != "fp32":
            advice.append(f"training.precision=fp32 (now {self.precision})")
        advice.append("a look at these images, if they end it again")
        return "\n".join(
            [
                f"training diverged: the {found.what} step {found.step} (epoch {found.epoch}) {found.value}",
                f"  learning rate {found.lr:g}; its {len(found.files)} images: {shown} (all in {self.report})",
                f"  {kept}",
                f"  what usually helps: {'; '.join(advice)}",
            ]
        )
