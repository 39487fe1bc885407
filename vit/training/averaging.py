"""Averaged weights."""

from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from .sharding import divided_as, whole


class ExponentialMovingAverage(Callback):
    """Averages weights and buffers after every step; validated, and kept instead of the last ones.

    The decay grows with the updates, min(decay, (1 + n) / (10 + n)), so that short runs forget their start. The first
    average is the weights after the first step. Lightning's WeightAveraging takes no models that FSDP divides, and
    exchanges the weights of a checkpoint with the averages.
    """

    def __init__(self, decay: float):
        self.decay = decay
        self.updates = 0
        self.averages: dict[str, Tensor] = {}
        self._step = 0

    def on_train_start(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        self._step = trainer.global_step
        current = _state(task)
        self.averages = {name: divided_as(average, current[name]) for name, average in self.averages.items()}

    def on_train_batch_end(self, trainer: L.Trainer, task: L.LightningModule, outputs, batch, batch_idx: int) -> None:
        if trainer.global_step == self._step:  # gradients are still being accumulated
            return
        self._step = trainer.global_step
        current = _state(task)
        if not self.averages:
            self.averages = {name: tensor.clone() for name, tensor in current.items()}
        else:
            self._update(current)
        self.updates += 1

    def _update(self, current: dict[str, Tensor]) -> None:
        n = self.updates
        weight = 1 - min(self.decay, (1 + n) / (10 + n))
        floats = [name for name, tensor in current.items() if tensor.is_floating_point()]
        torch._foreach_lerp_(  # pyright: ignore[reportPrivateImportUsage]
            [self.averages[n] for n in floats], [current[n] for n in floats], weight
        )
        for name in current.keys() - set(floats):  # BatchNorm's count of batches
            self.averages[name].copy_(current[name])

    def on_validation_start(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        self._exchange(task)

    def on_validation_end(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        self._exchange(task)

    def on_fit_end(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        for name, tensor in _state(task).items():
            tensor.copy_(self.averages[name])

    def _exchange(self, task: L.LightningModule) -> None:
        for name, tensor in _state(task).items():
            kept = tensor.clone()
            tensor.copy_(self.averages[name])
            self.averages[name].copy_(kept)

    def state_dict(self) -> dict[str, Any]:
        return {"updates": self.updates, "averages": {name: whole(a).cpu() for name, a in self.averages.items()}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.updates, self.averages = state_dict["updates"], state_dict["averages"]


def _state(task: L.LightningModule) -> dict[str, Tensor]:
    """Return the parameters and buffers themselves, by name."""
    return {name: tensor.detach() for name, tensor in (*task.named_parameters(), *task.named_buffers())}
