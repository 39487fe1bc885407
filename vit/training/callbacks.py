"""What happens beside the steps: weights averaged, the run recorded, its progress shown."""

import csv
import sys
import time
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, WeightAveraging
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from ..run_folder import clock
from .task import Classification

PLAIN_LINE_EVERY_SECONDS = 5.0
CHECKPOINT_EVERY_SECONDS = 5.0


class ExponentialMovingAverage(WeightAveraging):
    """Averages weights and buffers; validated and kept instead of the last ones.

    The decay grows with the updates, min(decay, (1 + n) / (10 + n)), so that short runs forget their start.
    """

    def __init__(self, decay: float, device: str = "cpu"):
        def average(averaged: list, current: list, count: Any) -> None:
            n = int(count)
            weight = 1 - min(decay, (1 + n) / (10 + n))
            for old, new in zip(averaged, current, strict=True):
                if old.is_floating_point():
                    old.lerp_(new, weight)
                else:  # BatchNorm's count of batches
                    old.copy_(new)

        super().__init__(device=device, multi_avg_fn=average)

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        # A run that resumes after its last epoch trains no step, and so never meets on_train_end.
        self._copy_average_to_current(pl_module)


class LastCheckpoint(ModelCheckpoint):
    """Keeps last.ckpt, from which a run resumes: written after an epoch, once in a few seconds at most."""

    def __init__(self, folder: Path):
        super().__init__(folder, filename="last", enable_version_counter=False)
        self._saved = time.perf_counter()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        now = time.perf_counter()
        if now - self._saved >= CHECKPOINT_EVERY_SECONDS or trainer.current_epoch + 1 == trainer.max_epochs:
            super().on_train_epoch_end(trainer, pl_module)
            self._saved = now


class RunRecord(Callback):
    """One row of metrics.csv an epoch, and the totals that the summary needs."""

    def __init__(self, path: Path, seconds_before: float = 0.0):
        self.path = path
        self.rows: list[dict[str, Any]] = []
        self.images_seen = 0
        # Of the steps and their data, and of a frozen trunk's features before; not of validation and checkpoints.
        self.train_seconds = seconds_before
        self._epoch_start = 0.0

    def on_train_epoch_start(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        self._epoch_start = time.perf_counter()

    def on_train_batch_end(self, trainer: L.Trainer, task: L.LightningModule, outputs, batch, batch_idx: int) -> None:
        self.images_seen += len(batch[0])
        if trainer.is_last_batch:
            self.train_seconds += time.perf_counter() - self._epoch_start

    def on_train_epoch_end(self, trainer: L.Trainer, task: Classification) -> None:
        progress = {
            "epoch": trainer.current_epoch + 1,
            "step": trainer.global_step,
            "images_seen": self.images_seen,
            "seconds": round(self.train_seconds, 3),
            "lr": trainer.optimizers[0].param_groups[0]["lr"],
        }
        self.rows.append(progress | task.scores)
        task.log_dict(task.scores | {"lr": progress["lr"]})
        with self.path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self.rows[0])
            writer.writeheader()
            writer.writerows(self.rows)

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows, "images_seen": self.images_seen, "train_seconds": self.train_seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows = list(state_dict["rows"])
        self.images_seen = state_dict["images_seen"]
        self.train_seconds = state_dict["train_seconds"]


class TrainingProgress(Callback):
    """Loss, accuracy, images a second and time left: a bar on a terminal, plain lines elsewhere; on stderr."""

    def __init__(self, record: RunRecord):
        self.record = record
        self.console = Console(stderr=True)
        self.bar: Progress | None = None
        self._start = self._last_line = 0.0
        self._first_step = 0

    def on_train_start(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        self._start = time.perf_counter()
        self._first_step = trainer.global_step
        if self.console.is_terminal:
            columns = (BarColumn(8), TimeRemainingColumn(compact=True), TextColumn("left  {task.description}"))
            self.bar = Progress(*columns, console=self.console)
            self.bar.start()
            steps = int(trainer.estimated_stepping_batches)
            self.bar.add_task("training", total=steps, completed=trainer.global_step)

    def on_train_batch_end(self, trainer: L.Trainer, task: L.LightningModule, outputs, batch, batch_idx: int) -> None:
        if self.bar:
            self.bar.update(self.bar.task_ids[0], completed=trainer.global_step)

    def on_train_epoch_end(self, trainer: L.Trainer, task: Classification) -> None:
        line = self._line(trainer, task.scores)
        if self.bar:
            self.bar.update(self.bar.task_ids[0], description=line)
            return
        now = time.perf_counter()
        last = trainer.current_epoch + 1 == trainer.max_epochs
        if last or now - self._last_line >= PLAIN_LINE_EVERY_SECONDS:
            self._last_line = now
            left = (now - self._start) * (trainer.estimated_stepping_batches - trainer.global_step)
            left /= max(1, trainer.global_step - self._first_step)
            print(f"epoch {line}  {clock(left)} left", file=sys.stderr, flush=True)

    def on_train_end(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        self._stop()

    def on_exception(self, trainer: L.Trainer, task: L.LightningModule, exception: BaseException) -> None:
        self._stop()

    def _line(self, trainer: L.Trainer, scores: dict[str, float]) -> str:
        rate = self.record.images_seen / max(self.record.train_seconds, 1e-9)
        return (
            f"{trainer.current_epoch + 1}/{trainer.max_epochs}  loss {scores['train_loss']:.3f}  "
            f"top-1 {scores['train_top1']:.1%}  validation {scores['validation_top1']:.1%}  {rate:,.0f} images/s"
        )

    def _stop(self) -> None:
        if self.bar:
            self.bar.stop()
            self.bar = None


def peak_memory_bytes(device: str) -> int | None:
    """Return the most memory held so far: of the GPU where there is one, else of this process; None if not known."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    try:
        import resource
    except ImportError:  # Windows has none
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
