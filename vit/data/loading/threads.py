"""Batches loaded ahead by threads: nothing is sent between processes, and nothing is copied twice.

For images whose decoding and resizing leave Python's lock; augmentations written in Python are better off in processes.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from ..decoding.reading import silence_pillow
from .training_images import TrainingImages

IMAGES_OF_A_TASK = 16
TASKS_AHEAD = 3  # for every thread
Key = tuple[int, int]  # epoch, and place of an image


class ThreadedLoader(DataLoader):
    """The batches of `sampler`, in its order: uint8 images [B, 3, height, width] and labels [B] or [B, C]."""

    def __init__(self, images: TrainingImages, sampler: Sampler, threads: int) -> None:
        super().__init__(images, batch_sampler=sampler)
        self.images = images
        self.sampler_of_keys = sampler
        self.threads = threads

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        silence_pillow()
        pool = ThreadPoolExecutor(self.threads)
        ahead: deque[Batch] = deque()
        try:
            for keys in self.sampler_of_keys:
                ahead.append(self._begin(pool, keys))
                if sum(len(batch.tasks) for batch in ahead) > TASKS_AHEAD * self.threads and len(ahead) > 1:
                    yield ahead.popleft().ready()
            while ahead:
                yield ahead.popleft().ready()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _begin(self, pool: ThreadPoolExecutor, keys: Sequence[Key]) -> "Batch":
        shape = (len(keys), 3, *self.images.image_size(keys[0][0]))
        images = torch.empty(shape, dtype=torch.uint8, pin_memory=torch.cuda.is_available())
        parts = [slice(first, first + IMAGES_OF_A_TASK) for first in range(0, len(keys), IMAGES_OF_A_TASK)]
        return Batch(images, [pool.submit(self._fill, keys[part], images.numpy()[part]) for part in parts])

    def _fill(self, keys: Sequence[Key], images: np.ndarray) -> list[int | np.ndarray]:
        """Write some images to their places and return their labels."""
        targets = []
        for key, place in zip(keys, images, strict=True):
            place[:], target = self.images.pixels(*key)
            targets.append(target)
        return targets


@dataclass(frozen=True)
class Batch:
    """Images that are being written by some tasks, each of which gives the labels of its part."""

    images: Tensor
    tasks: list[Future]

    def ready(self) -> tuple[Tensor, Tensor]:
        targets = [target for task in self.tasks for target in task.result()]
        return self.images, torch.from_numpy(np.array(targets))
