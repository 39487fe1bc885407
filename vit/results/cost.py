"""What a model costs in time, measured on this machine."""

import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..machine import is_out_of_memory

INFERENCE_BATCH_SIZES = (8, 32, 128)
MEASURED_SECONDS = 0.3
REPEATS = 5


@dataclass(frozen=True)
class Timings:
    """Medians on one device, by all its threads: nothing else was running."""

    latency_ms: float  # of one image, in fp32
    images_per_second: float  # inference in fp32 at `batch_size`, the fastest of those tried that fit into memory
    train_images_per_second: float  # forward, backward and optimizer step of `train_batch_size`, in the asked precision
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
        latency = _seconds_of_inference(module, image_size, 1, device)
        found = (
            _while_it_fits(n, lambda n: _seconds_of_inference(module, image_size, n, device))
            for n in INFERENCE_BATCH_SIZES
        )
        speeds = {n: n / seconds for n, seconds in found}
    best = max(speeds, key=lambda n: speeds[n])
    module.train()

    def seconds_of_training(count: int) -> float:
        batch = torch.randn(count, 3, *image_size, device=device)
        return _median_seconds(_training_step(module, batch, train_dtype), device)

    train_batch_size, training = _while_it_fits(train_batch_size, seconds_of_training)
    return Timings(
        latency_ms=1000 * latency,
        images_per_second=speeds[best],
        train_images_per_second=train_batch_size / training,
        batch_size=best,
        train_batch_size=train_batch_size,
        threads=torch.get_num_threads(),
        device=torch.cuda.get_device_name() if device == "cuda" else "cpu",
    )


def _seconds_of_inference(module: nn.Module, image_size: tuple[int, int], batch_size: int, device: str) -> float:
    images = torch.randn(batch_size, 3, *image_size, device=device)

    def answered() -> None:
        module(images)
        _wait(device)  # a queue of answers would show how many come in a second, and not how long one takes

    return _median_seconds(answered, device)


def _while_it_fits(count: int, seconds: Callable[[int], float]) -> tuple[int, float]:
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


def _median_seconds(call: Callable[[], object], device: str) -> float:
    """Return the median over groups of calls; each group long enough to be timed well."""

    _seconds(call, device, 2)  # warm-up
    calls = max(1, int(MEASURED_SECONDS / REPEATS / max(_seconds(call, device, 1), 1e-6)))
    return sorted(_seconds(call, device, calls) for _ in range(REPEATS))[REPEATS // 2]
