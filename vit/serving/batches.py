"""Requests that wait are answered together: one thread computes, and takes whatever has come meanwhile.

A request that finds nobody else is answered at once, alone. Explanations go through the same thread: they hook into the
module, and must not meet an answer at work.
"""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..model import Model
from ..models.interface import device_of
from ..probabilities import probabilities

MOST_TOGETHER = 32  # images
MOST_WAITING = 512  # requests
LONGEST_WAIT_S = 0.005  # for others that are on their way


class Full(Exception):
    """More requests wait than are taken."""


@dataclass(frozen=True)
class Job:
    """Something to compute: an image's answer, or with `call` anything else, alone."""

    done: Future
    image: Tensor | None = None
    call: Callable[[], object] | None = None


class Batches:
    """One model's thread of work, and the requests that wait for it.

    `on_their_way` are requests that are being read and decoded: only while there are any is waited for more.
    """

    def __init__(self, model: Model):
        self.model = model
        self.on_their_way = 0
        self._jobs: queue.Queue[Job | None] = queue.Queue(MOST_WAITING)
        self._held: list[Job | None] = []
        self._thread = threading.Thread(target=self._work, name="answers", daemon=True)
        self._thread.start()

    def answer(self, image: Tensor) -> "Future[np.ndarray]":
        """Return what will be the probabilities [C] of the model's input [3, height, width]; raises Full."""
        return self._put(Job(Future(), image=image))

    def call(self, function: Callable[[], Any]) -> Future:
        """Return what a function will return, called when no answer is computed; raises Full."""
        return self._put(Job(Future(), call=function))

    def close(self) -> None:
        """Answer what waits, and end."""
        self._jobs.put(None)
        self._thread.join()

    def _put(self, job: Job) -> Future:
        try:
            self._jobs.put_nowait(job)
        except queue.Full as error:
            raise Full from error
        return job.done

    def _work(self) -> None:
        while (job := self._taken()) is not None:
            if job.call is not None:
                _settle([job], lambda call=job.call: [call()])
            else:
                together = self._gathered(job)
                _settle(together, partial(self._probabilities, together))

    def _taken(self) -> Job | None:
        return self._held.pop() if self._held else self._jobs.get()

    def _gathered(self, first: Job) -> list[Job]:
        """Return the images to answer together; what is none is held until after them."""
        together = [first]
        while len(together) < MOST_TOGETHER:
            try:
                job = self._jobs.get(timeout=LONGEST_WAIT_S) if self.on_their_way > 0 else self._jobs.get_nowait()
            except queue.Empty:
                break
            if job is None or job.image is None:
                self._held.append(job)
                break
            together.append(job)
        return together

    @torch.inference_mode()
    def _probabilities(self, jobs: list[Job]) -> list[np.ndarray]:
        images = torch.stack([job.image for job in jobs if job.image is not None]).to(device_of(self.model.module))
        logits = self.model.module(images).float().cpu().numpy().astype(np.float64)
        return list(probabilities(logits, self.model.output))


def _settle(jobs: list[Job], compute: Callable[[], list[Any]]) -> None:
    """Give every job its result, or the error that came instead."""
    try:
        results = compute()
    except Exception as error:  # whoever asked is told
        for job in jobs:
            job.done.set_exception(error)
        return
    for job, result in zip(jobs, results, strict=True):
        job.done.set_result(result)
