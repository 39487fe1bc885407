"""Requests that wait are answered together: one thread computes, and takes whatever has come meanwhile.

A request that finds nobody else is answered at once, alone. Explanations go through the same thread: they hook into the
module, and must not meet an answer at work.
"""

import queue
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..model import Model

MOST_TOGETHER = 32  # images
MOST_WAITING = 512  # requests
LONGEST_WAIT_S = 0.005  # for others that are on their way


class Full(Exception):
    """More requests wait than are taken."""


@dataclass(frozen=True)
class Job:
    """Something to compute: a model's answer to an image, or with `call` anything else, alone."""

    done: Future
    model: Model | None = None
    image: Tensor | None = None
    call: Callable[[], object] | None = None


class Batches:
    """One thread that computes for all models, and the requests that wait for it.

    `on_their_way` are requests that are being read and decoded: only while there are any is waited for more.

    One thread, since each has a team of processors of its own in OpenMP: with two teams it lets waiting threads sleep,
    and a ViT-S answered in 91 instead of 72 ms.
    """

    def __init__(self) -> None:
        self.on_their_way = 0
        self._jobs: queue.Queue[Job | None] = queue.Queue(MOST_WAITING)
        self._held: deque[Job | None] = deque()  # taken from the queue, and not their turn
        self._thread = threading.Thread(target=self._work, name="answers", daemon=True)
        self._thread.start()

    def answer(self, model: Model, image: Tensor) -> "Future[np.ndarray]":
        """Return what will be the probabilities [C] of the model's input [3, height, width]; raises Full."""
        return self._put(Job(Future(), model, image))

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
        while (job := self._held.popleft() if self._held else self._jobs.get()) is not None:
            if job.call is not None:
                _settle([job], lambda call=job.call: [call()])
            else:
                assert job.model is not None
                together = self._gathered(job)
                _settle(together, partial(answers_of, job.model, together))

    def _gathered(self, first: Job) -> list[Job]:
        """Return the images to answer together, of one model; the other jobs are held until after them."""
        together, others = [first], deque[Job | None]()
        while len(together) + len(others) < MOST_TOGETHER:  # a stream of another model's must not keep these waiting
            try:
                job = self._next()
            except queue.Empty:
                break
            if job is not None and job.model is first.model:
                together.append(job)
                continue
            others.append(job)
            if job is None:
                break
        self._held.extendleft(reversed(others))
        return together

    def _next(self) -> Job | None:
        if self._held:
            return self._held.popleft()
        return self._jobs.get(timeout=LONGEST_WAIT_S) if self.on_their_way > 0 else self._jobs.get_nowait()


def answers_of(model: Model, jobs: list[Job]) -> list[np.ndarray]:
    """Return the probabilities [C] that a model gives every job's image."""
    return list(model.probabilities(torch.stack([job.image for job in jobs if job.image is not None])))


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
