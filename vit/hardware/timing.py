"""What a model costs in time, measured on this machine."""

import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

import torch
from torch import Tensor, nn

from .machine import is_out_of_memory

INFERENCE_BATCH_SIZES = (8, 32, 128)
MEASURED_SECONDS = 0.3
REPEATS = 6  # rounds: fastest to slowest hold the true median with 1 - 2 * 0.5**6 = 96.9 %, and 5 would with 93.8 %

Found = TypeVar("Found")


@dataclass(frozen=True)
class Timings:
    """Medians on one device, by all its threads: nothing else was running. `_low` and `_high` are of single rounds."""

    latency_ms: float  # of one image, in fp32
    latency_ms_low: float
    latency_ms_high: float
    images_per_second: float  # inference in fp32 at `batch_size`, the fastest of those tried that fit into memory
    images_per_second_low: float
    images_per_second_high: float
    train_images_per_second: float  # forward, backward and optimizer step of `train_batch_size`, in the asked precision
    train_images_per_second_low: float
    train_images_per_second_high: float
    batch_size: int
    train_batch_size: int  # as asked for, or as much of it as fits
    threads: int
    device: str


def measure(
    module: nn.Module,
    image_size: tuple[int, int],
    train_batch_size: int,
    device: str,
    train_dtype: torch.dtype | None = None,
) -> Timings:
    """Time inference and training of a model, alone on the machine, on random images.

    A training step is of so many images, those that a device takes at once, under autocast to `train_dtype` where there
    is one; where they do not fit into memory, it is of a half, a quarter and so on.
    """
    module = deepcopy(module).to(device)  # BatchNorm would remember the random images
    module.eval()
    with torch.inference_mode():
        latency = _rounds_of_inference(module, image_size, 1, device)
        found = dict(
            _while_it_fits(n, lambda n: _rounds_of_inference(module, image_size, n, device))
            for n in INFERENCE_BATCH_SIZES
        )
    best = max(found, key=lambda n: n / median(found[n]))
    module.train()

    def rounds_of_training(count: int) -> list[float]:
        batch = torch.randn(count, 3, *image_size, device=device)
        return _rounds(_training_step(module, batch, train_dtype), device)

    train_batch_size, training = _while_it_fits(train_batch_size, rounds_of_training)
    return Timings(
        latency_ms=1000 * median(latency),
        latency_ms_low=1000 * min(latency),
        latency_ms_high=1000 * max(latency),
        images_per_second=best / median(found[best]),
        images_per_second_low=best / max(found[best]),
        images_per_second_high=best / min(found[best]),
        train_images_per_second=train_batch_size / median(training),
        train_images_per_second_low=train_batch_size / max(training),
        train_images_per_second_high=train_batch_size / min(training),
        batch_size=best,
        train_batch_size=train_batch_size,
        threads=torch.get_num_threads(),
        device=torch.cuda.get_device_name() if device == "cuda" else "cpu",
    )


def _rounds_of_inference(module: nn.Module, image_size: tuple[int, int], batch_size: int, device: str) -> list[float]:
    images = torch.randn(batch_size, 3, *image_size, device=device)

    def answered() -> None:
        module(images)
        _wait(device)  # a queue of answers would show how many come in a second, and not how long one takes

    return _rounds(answered, device)


def _while_it_fits(count: int, seconds: Callable[[int], Found]) -> tuple[int, Found]:
    """Return the seconds of so many images, or of the largest half, quarter and so on that memory holds, and of how
    many."""
    while True:
        try:
            return count, seconds(count)
        except (RuntimeError, MemoryError) as error:
            if count == 1 or not is_out_of_memory(error):
                raise
        count //= 2  # out here, where nothing holds the tensors of what failed any more
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()


def seconds_per_training_image(
    module: nn.Module,
    image_size: tuple[int, int],
    batch_size: int,
    device: str,
    steps: int,
    autocast_dtype: torch.dtype | None = None,
) -> float:
    """Return the mean seconds of an image in a few training steps on random images, after one that is not counted.

    A step is of so many images, or of a half, a quarter and so on where they do not fit into memory.
    """
    module = deepcopy(module).to(device).train()

    def seconds(count: int) -> float:
        call = _training_step(module, torch.randn(count, 3, *image_size, device=device), autocast_dtype)
        _seconds(call, device, 1)
        return _seconds(call, device, steps)

    count, step = _while_it_fits(batch_size, seconds)
    return step / count


def _training_step(module: nn.Module, batch: Tensor, autocast_dtype: torch.dtype | None = None) -> Callable[[], object]:
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.0, weight_decay=0.0)

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast(batch.device.type, autocast_dtype, enabled=autocast_dtype is not None):
            loss = module(batch).float().logsumexp(-1).mean()
        loss.backward()
        optimizer.step()

    return step


def _seconds(call: Callable[[], object], device: str, calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        call()
    _wait(device)
    return (time.perf_counter() - start) / calls


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def _rounds(call: Callable[[], object], device: str) -> list[float]:
    """Return the mean seconds of a call in each round of calls; each round long enough to be timed well."""
    _seconds(call, device, 2)  # warm-up
    calls = max(1, int(MEASURED_SECONDS / REPEATS / max(_seconds(call, device, 1), 1e-6)))
    return [_seconds(call, device, calls) for _ in range(REPEATS)]
