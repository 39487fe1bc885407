"""How long training waited for images, and what follows from that."""

import time
from typing import Union

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback

from ..hardware.machine import available_cores
from ..recipe import Recipe

MUCH = 0.1


class Moment:
    """A moment of the processor's, as torch.cuda.Event is one of a GPU's."""

    def __init__(self) -> None:
        self.at = time.perf_counter()

    def query(self) -> bool:
        return True

    def elapsed_time(self, end: "Moment") -> float:
        return 1000 * (end.at - self.at)


Mark = Union[Moment, "torch.cuda.Event"]


def mark(device: torch.device) -> Mark:
    """Return the moment at which a device has done what it was given so far."""
    if device.type != "cuda":
        return Moment()
    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event


class DataStalls(Callback):
    """Adds up the time between a step's end, with all that follows it, and the next batch on the device.

    The last of a training's callbacks. On a GPU its own time counts: the processor runs ahead, and whoever waits for
    the GPU first would be charged with all that is queued.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._end: Mark | None = None
        self._gaps: list[tuple[Mark, Mark]] = []

    def on_train_start(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        self._end = mark(task.device)  # on_train_epoch_start does not come again where an epoch goes on

    def on_train_epoch_start(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        self._end = mark(task.device)

    def on_train_batch_start(self, trainer: L.Trainer, task: L.LightningModule, batch, batch_idx: int) -> None:
        assert self._end is not None
        self._gaps.append((self._end, mark(task.device)))

    def on_train_batch_end(self, trainer: L.Trainer, task: L.LightningModule, outputs, batch, batch_idx: int) -> None:
        self.add_up()
        self._end = mark(task.device)

    def add_up(self) -> None:
        """Take in what the device has passed; nothing waits for it."""
        while self._gaps and self._gaps[0][1].query():
            end, start = self._gaps.pop(0)
            self.seconds += end.elapsed_time(start) / 1000  # pyright: ignore[reportArgumentType]


def in_words(share: float, recipe: Recipe, small: bool) -> str:
    """Return how much training waited, and where that is much, what helps."""
    told = f"{share:.0%} of the time training waited for images"
    return f"{told}: {remedies(recipe, small)}" if share >= MUCH else told


def remedies(recipe: Recipe, small: bool) -> str:
    data, cores = recipe.data, available_cores()
    cached = data.cache != "none" or small
    first = [] if cached else ["data.cache=ram or disk, decoded and resized once"]
    workers = f"more data.workers than {data.workers}, of {cores} cores"
    more = [workers] if data.workers != "auto" and data.workers < cores else []
    return "; ".join([*first, *more, "fewer or cheaper steps of augment"])
