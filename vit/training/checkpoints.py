"""Checkpoints that are whole or not there: the file that a run goes on from, and the weights that it keeps."""

import logging
import shutil
import time
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.plugins.io import TorchCheckpointIO
from lightning.pytorch.callbacks import Callback
from safetensors.torch import save_file
from torch import Tensor

from ..errors import Interrupted, UserError
from ..files import replace_file
from ..recipe import Training
from ..run_folder import RunFolder
from .nonfinite import NonFiniteGuard
from .scores import main_score
from .sharding import any_process, whole
from .signals import StopSignals
from .task import Task

logger = logging.getLogger(__name__)

MOST_OF_THE_TIME = 1 / 20  # spent on writing, unless every step is asked for


class WholeFiles(TorchCheckpointIO):
    """Writes beside the former checkpoint and renames; a failure is kept here, and the former file stays.

    Lightning's own writes into the system's temporary folder first, and copies from there.
    """

    failure: str | None = None

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        self.failure = None
        try:
            replace_file(Path(path), lambda beside: write_torch(checkpoint, beside))
        except (OSError, RuntimeError) as error:
            self.failure = not_written(Path(path), error)


def write_torch(checkpoint: dict[str, Any], path: Path) -> None:
    with path.open("wb") as file:  # given a name, torch would not say that the disk is full
        torch.save(checkpoint, file)


def not_written(path: Path, error: Exception) -> str:
    if isinstance(error.__context__, OSError):  # torch closes its file in vain, and hides what came first
        error = error.__context__
    free = shutil.disk_usage(path.parent).free
    return f"{path} could not be written: {str(error).splitlines()[0]} ({free / 1e6:,.1f} MB free there)"


class LastCheckpoint(Callback):
    """Saves in the middle of epochs and at their ends, as time allows; and when a signal ends the run."""

    def __init__(self, run: RunFolder, every_seconds: float, files: WholeFiles, guard: NonFiniteGuard):
        self.run = run
        self.every_seconds = every_seconds
        self.files = files
        self.guard = guard
        self.signals = StopSignals()
        self.seconds = 0.0  # spent on saving
        self._saved, self._took = time.perf_counter(), 0.0

    def on_train_start(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        self.signals.listen()

    def on_train_batch_end(self, trainer: L.Trainer, task: Task, outputs, batch, batch_idx: int) -> None:
        in_a_step = (batch_idx + 1) % trainer.accumulate_grad_batches
        if in_a_step or trainer.is_last_batch:  # at an epoch's end, its validation belongs to it
            return
        stop, due = any_process(trainer, self.signals.received, self._is_due())
        self._save_or_stop(trainer, task, stop, due)

    def on_validation_start(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        self._check_there(trainer)  # before anybody writes of this epoch

    def on_train_epoch_end(self, trainer: L.Trainer, task: Task) -> None:
        stop, due = any_process(trainer, self.signals.received, self._is_due())
        ended = trainer.should_stop or trainer.current_epoch + 1 == trainer.max_epochs
        self._save_or_stop(trainer, task, stop and not ended, due or ended, must=ended)

    def on_train_end(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        self.signals.leave()

    def on_exception(self, trainer: L.Trainer, task: L.LightningModule, exception: BaseException) -> None:
        self.signals.leave()

    def _check_there(self, trainer: L.Trainer) -> None:
        """Raise UserError in every process where the run's folder is there no more; writing would make another."""
        if any_process(trainer, trainer.is_global_zero and not self.run.is_there())[0]:
            raise self.run.removed()

    def _is_due(self) -> bool:
        least = max(self.every_seconds, self._took / MOST_OF_THE_TIME) if self.every_seconds else 0.0
        return time.perf_counter() - self._saved >= least

    def _save_or_stop(self, trainer: L.Trainer, task: Task, stop: bool, due: bool, must: bool = False) -> None:
        if stop or due:
            self._save(trainer, task, must or stop)
        if stop:
            raise Interrupted(self.run.path)

    def _save(self, trainer: L.Trainer, task: Task, must: bool) -> None:
        start = time.perf_counter()
        self._check_there(trainer)
        self.guard.check(trainer, task, at_weights=True)
        trainer.save_checkpoint(self.run.last_checkpoint)
        self._saved = time.perf_counter()
        self._took = self._saved - start
        self.seconds += self._took
        failure = self.files.failure
        if failure and not must:
            kept = "the former one stays" if self.run.last_checkpoint.exists() else "there is none yet"
            logger.warning(f"{failure}; {kept}, training goes on")
        if must and any_process(trainer, failure is not None)[0]:
            raise UserError(f"{failure}; free some space, then go on with --resume from the former checkpoint")


class KeptWeights(Callback):
    """Writes the weights of the best epoch, where those are to be kept; may end training early."""

    def __init__(self, path: Path, training: Training):
        self.path = path
        self.best_of_all = training.keep == "best"
        self.monitor, self.patience_epochs = training.monitor, training.patience_epochs
        self.best: float | None = None
        self.best_epoch = self.epochs = 0

    def on_train_start(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        trainer.should_stop = self._is_patience_over()

    def on_validation_end(self, trainer: L.Trainer, task: Task) -> None:
        monitor = f"validation_{main_score(task.scores)}" if self.monitor == "auto" else self.monitor
        value = -task.scores[monitor] if monitor == "validation_loss" else task.scores[monitor]
        self.epochs = trainer.current_epoch + 1
        if self.best is None or value > self.best:
            self.best, self.best_epoch = value, self.epochs
            if self.best_of_all:
                write_weights(self.path, trainer, task)
        trainer.should_stop = self._is_patience_over()

    def _is_patience_over(self) -> bool:
        return self.patience_epochs is not None and self.epochs - self.best_epoch >= self.patience_epochs

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "best_epoch": self.best_epoch, "epochs": self.epochs}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best, self.best_epoch, self.epochs = (state_dict[name] for name in ("best", "best_epoch", "epochs"))


class GatheredWeights(Callback):
    """Writes the last weights, averaged where they are, that several processes hold in parts; behind the averaging."""

    def __init__(self, path: Path, training: Training):
        self.path = path
        self.last_of_all = training.keep == "last"

    def on_fit_end(self, trainer: L.Trainer, task: Task) -> None:
        if self.last_of_all and trainer.strategy.restore_checkpoint_after_setup:  # a strategy that divides weights
            write_weights(self.path, trainer, task)


def write_weights(path: Path, trainer: L.Trainer, task: Task) -> None:
    """Write the model's weights, whole, from the first process; every process must ask."""
    weights: dict[str, Tensor] = {name: whole(t.detach()).cpu() for name, t in task.model.state_dict().items()}
    if trainer.is_global_zero:
        replace_file(path, lambda beside: save_file({n: t.contiguous() for n, t in weights.items()}, beside))
