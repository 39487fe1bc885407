"""What happens beside the steps: the run recorded, its progress shown."""

import logging
import time
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from ..files import write_csv
from ..hardware import machine
from ..progress import clock
from ..terminal import plain_console
from .checkpoints import LastCheckpoint, not_written
from .data_stalls import DataStalls
from .scores import WORDS, in_words, main_score
from .task import Task

logger = logging.getLogger(__name__)

PLAIN_LINE_EVERY_SECONDS = 5.0
PLAIN_LINE_WITHIN_EPOCH_SECONDS = 30.0


class RunRecord(Callback):
    """One row of metrics.csv an epoch, and the totals that the summary needs.

    `train_seconds` are of the steps and their data, and `seconds_before` of a frozen trunk's features; not of
    validation, and not of the checkpoints that `saving` writes. Of them training was `waiting` for images.
    """

    def __init__(self, path: Path, saving: LastCheckpoint, waiting: DataStalls, seconds_before: float = 0.0):
        self.path = path
        self.saving = saving
        self.waiting = waiting
        self.rows: list[dict[str, Any]] = []
        self.images_seen = 0
        self.train_seconds = seconds_before
        self._mark = self._saving_before = 0.0

    def on_train_start(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        self._begin()  # on_train_epoch_start does not come again where an epoch goes on

    def on_train_epoch_start(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        self._begin()

    def on_train_batch_end(self, trainer: L.Trainer, task: L.LightningModule, outputs, batch, batch_idx: int) -> None:
        self.images_seen += len(batch[0]) * trainer.world_size
        if trainer.is_last_batch and task.device.type == "cuda":
            torch.cuda.synchronize()
        now = time.perf_counter()
        self.train_seconds += self._since_mark(now)
        self._begin(now)

    def on_train_epoch_end(self, trainer: L.Trainer, task: Task) -> None:
        progress = {
            "epoch": trainer.current_epoch + 1,
            "step": trainer.global_step,
            "images_seen": self.images_seen,
            "seconds": round(self.train_seconds, 3),
            "lr": trainer.optimizers[0].param_groups[0]["lr"],
        }
        self.rows.append(progress | task.scores)
        for experiment in trainer.loggers:
            experiment.log_metrics(
                task.scores | {"lr": progress["lr"], "epoch": progress["epoch"]}, trainer.global_step
            )
        if trainer.is_global_zero:
            self._write()

    def _begin(self, now: float | None = None) -> None:
        self._mark = time.perf_counter() if now is None else now
        self._saving_before = self.saving.seconds

    def _since_mark(self, now: float) -> float:
        """Return the seconds since then that no checkpoint took."""
        return now - self._mark - (self.saving.seconds - self._saving_before)

    def _write(self) -> None:
        try:
            write_csv(self.path, self.rows)
        except OSError as error:  # a full disk: the next epoch writes all rows again
            logger.warning(not_written(self.path, error))

    def state_dict(self) -> dict[str, Any]:
        self.waiting.add_up()
        return {
            "rows": self.rows,
            "images_seen": self.images_seen,
            "train_seconds": self.train_seconds,
            "waiting_seconds": self.waiting.seconds,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows = list(state_dict["rows"])
        self.images_seen = state_dict["images_seen"]
        self.train_seconds = state_dict["train_seconds"]
        self.waiting.seconds = state_dict.get("waiting_seconds", 0.0)  # older checkpoints have none


class TrainingProgress(Callback):
    """Loss, accuracy, images a second and time left: a bar on a terminal, plain lines elsewhere; on stderr."""

    def __init__(self, record: RunRecord):
        self.record = record
        self.console = plain_console(stderr=True)
        self.bar: Progress | None = None
        self._start = self._last_line = 0.0
        self._first_step = 0

    def on_train_start(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        self._start = time.perf_counter()
        self._last_line = self._start - PLAIN_LINE_EVERY_SECONDS  # the first epoch is told at once
        self._first_step = trainer.global_step
        if self.console.is_terminal:
            columns = (
                BarColumn(8),
                TimeRemainingColumn(compact=True),
                TextColumn("left  {task.description}", markup=False),
            )
            self.bar = Progress(*columns, console=self.console)
            self.bar.start()
            steps = int(trainer.estimated_stepping_batches)
            self.bar.add_task("training", total=steps, completed=trainer.global_step)

    def on_train_batch_end(self, trainer: L.Trainer, task: Task, outputs, batch, batch_idx: int) -> None:
        if self.bar:
            self.bar.update(self.bar.task_ids[0], completed=trainer.global_step)
        elif time.perf_counter() - self._last_line >= PLAIN_LINE_WITHIN_EPOCH_SECONDS:
            self._last_line = time.perf_counter()
            done = f"step {batch_idx + 1:,} of {int(trainer.num_training_batches):,}"
            line = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}  {done}  {self._rate():,.0f} images/s"
            logger.info(f"{line}  {clock(self._seconds_left(trainer))} left")

    def on_train_epoch_end(self, trainer: L.Trainer, task: Task) -> None:
        line = self._line(trainer, task.scores)
        if self.bar:
            self.bar.update(self.bar.task_ids[0], description=line)
            return
        now = time.perf_counter()
        last = trainer.should_stop or trainer.current_epoch + 1 == trainer.max_epochs
        if last or now - self._last_line >= PLAIN_LINE_EVERY_SECONDS:
            self._last_line = now
            logger.info(f"epoch {line}  {clock(self._seconds_left(trainer))} left")

    def on_train_end(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        self._stop()

    def on_exception(self, trainer: L.Trainer, task: L.LightningModule, exception: BaseException) -> None:
        self._stop()

    def _line(self, trainer: L.Trainer, scores: dict[str, float]) -> str:
        name = main_score(scores)
        told = "" if name == "loss" else f"{WORDS[name]} {in_words(name, scores[f'train_{name}'], digits=1)}  "
        return (
            f"{trainer.current_epoch + 1}/{trainer.max_epochs}  loss {scores['train_loss']:.3f}  "
            f"{told}validation {in_words(name, scores[f'validation_{name}'], digits=1)}  "
            f"{self._rate():,.0f} images/s"
        )

    def _rate(self) -> float:
        return self.record.images_seen / max(self.record.train_seconds, 1e-9)

    def _seconds_left(self, trainer: L.Trainer) -> float:
        seconds = time.perf_counter() - self._start
        left = int(trainer.estimated_stepping_batches) - trainer.global_step
        return 0.0 if trainer.should_stop else seconds * left / max(1, trainer.global_step - self._first_step)

    def _stop(self) -> None:
        if self.bar:
            self.bar.stop()
            self.bar = None


def peak_memory_bytes(device: str) -> int | None:
    """Return the most memory held so far: of the GPU where there is one, else of this process; None if not known."""
    return torch.cuda.max_memory_allocated() if device == "cuda" else machine.peak_memory_bytes()
