"""What a model costs in time, measured on this machine."""

import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

INFERENCE_BATCH_SIZES = (8, 32, 128)
MEASURED_SECONDS = 0.3
REPEATS = 5


@dataclass(frozen=True)
class Timings:
    """Medians on one device in fp32, by all its threads: nothing else was running."""

    latency_ms: float  # of one image
    images_per_second: float  # inference at `batch_size`, the fastest of those tried
    train_images_per_second: float  # forward, backward and optimizer step at the training batch size
    batch_size: int
    train_batch_size: int
    threads: int
    device: str


def measure(module: nn.Module, image_size: tuple[int, int], train_batch_size: int, device: str) -> Timings:
    """Time inference and training of a model, alone on the machine, on random images."""
    module = deepcopy(module).to(device)  # BatchNorm would remember the random images
    batch = torch.randn(train_batch_size, 3, *image_size, device=device)
    module.eval()
    with torch.inference_mode():
        latency = _seconds_of_inference(module, image_size, 1, device)
        speeds = {n: n / _seconds_of_inference(module, image_size, n, device) for n in INFERENCE_BATCH_SIZES}
    best = max(speeds, key=lambda n: speeds[n])
    training = _median_seconds(_training_step(module.train(), batch), device)
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
    return _median_seconds(lambda: module(images), device)


def seconds_per_training_step(
    module: nn.Module,
    image_size: tuple[int, int],
    batch_size: int,
    device: str,
    steps: int,
    autocast_dtype: torch.dtype | None = None,
) -> float:
    """Return the mean seconds of a few training steps on random images, after one that is not counted."""
    module = deepcopy(module).to(device).train()
    call = _training_step(module, torch.randn(batch_size, 3, *image_size, device=device), autocast_dtype)
    call()
    return _seconds(call, device, steps)


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
    if device == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / calls


def _median_seconds(call: Callable[[], object], device: str) -> float:
    """Return the median over groups of calls; each group long enough to be timed well."""

    _seconds(call, device, 2)  # warm-up
    calls = max(1, int(MEASURED_SECONDS / REPEATS / max(_seconds(call, device, 1), 1e-6)))
    return sorted(_seconds(call, device, calls) for _ in range(REPEATS))[REPEATS // 2]
