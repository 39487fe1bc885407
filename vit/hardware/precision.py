"""Which number format a device trains fastest in: on CPUs bf16 only where it was seen to be faster."""

import time

import torch
from torch import nn

from ..errors import UserError
from . import processes
from .measurements import measured_once

FASTER = 1.2  # times; below this, fp32's exactness is worth more
ROUNDS, ROUNDS_SECONDS = 5, 0.2  # a processor without bf16 takes twenty times as long
AUTOCAST_TYPES = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}
LIGHTNING_NAMES = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}


def resolve_device(device: str) -> str:
    """Return "cpu" or "cuda", which from here on is this process's own GPU; raises UserError for one that is not there.

    Lightning gives each process its GPU when training begins; what comes before would meet on the first one.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("training.device is cuda, and torch sees no GPU here; use cpu or auto")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and 0 < processes.local_rank() < torch.cuda.device_count():
        torch.cuda.set_device(processes.local_rank())
    return device


def available_device(device: str) -> str:
    """Return the device a model was trained on where it is here, else the best there is: weights run anywhere."""
    return resolve_device("auto") if device == "cuda" else resolve_device(device)


def resolve_precision(precision: str, device: str) -> tuple[str, str]:
    """Return "fp32", "bf16" or "fp16", and the reason in words."""
    if precision != "auto":
        return precision, "asked for"
    if device == "cuda":
        return precision_of_gpu()
    ratio = remembered_bf16_ratio(device)
    if ratio >= FASTER:
        return "bf16", f"bf16 measured {ratio:.1f} times as fast as fp32 here"
    return "fp32", f"bf16 measured only {ratio:.1f} times as fast as fp32 here"


def precision_of_gpu() -> tuple[str, str]:
    """Return the precision whose matrix products the GPU computes many times as fast as those of fp32, and why.

    Not measured: a busy card, or a layer bound by its memory, would decide for every later run.
    """
    if torch.cuda.is_bf16_supported(including_emulation=False):  # compute capability 8.0; and AMD's
        return "bf16", "this GPU computes in it"
    if torch.cuda.get_device_capability() >= (7, 0):
        return "fp16", "this GPU has no bf16"
    return "fp32", "this GPU gains nothing by less"


def remembered_bf16_ratio(device: str) -> float:
    """Return how many times faster bf16 is here."""
    return measured_once("bf16 over fp32", device, lambda: measure_bf16_ratio(device))


def measure_bf16_ratio(device: str) -> float:
    """Time forward and backward of a Transformer's MLP and of a 3x3 convolution; return the smaller gain."""
    tokens = torch.randn(2, 197, 384, device=device)
    features = torch.randn(2, 64, 28, 28, device=device).to(memory_format=torch.channels_last)
    mlp = nn.Sequential(nn.Linear(384, 1536), nn.GELU(), nn.Linear(1536, 384)).to(device)
    convolution = nn.Sequential(nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 64, 3, padding=1)).to(device)
    return min(_gain(mlp, tokens, device), _gain(convolution, features, device))


def _gain(module: nn.Module, x: torch.Tensor, device: str) -> float:
    return best_seconds(module, x, device, bf16=False) / best_seconds(module, x, device, bf16=True)


def best_seconds(module: nn.Module, x: torch.Tensor, device: str, bf16: bool) -> float:
    """Return the shortest of a few times forward and backward, after one that is not counted."""

    def seconds() -> float:
        start = time.perf_counter()
        with torch.autocast(device, torch.bfloat16, enabled=bf16):
            module(x).float().sum().backward()
        if device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    seconds()  # warm-up
    taken = [seconds()]
    while len(taken) < ROUNDS and sum(taken) < ROUNDS_SECONDS:
        taken.append(seconds())
    return min(taken)
