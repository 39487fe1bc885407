"""The most that this machine does in matrix products: what a model's share of it is taken of."""

import time

import torch

from ..hardware.precision import AUTOCAST_TYPES
from .rounds import Work

SIDES = {"cpu": 2048, "cuda": 8192}  # of square matrices, which fill the device


def prepare(precision: str, device: str, seconds: float, threads: int) -> Work:
    """Return products of two square matrices for so long; a round gives their floating-point operations."""
    torch.set_num_threads(threads)
    side = SIDES[device]
    a, b = torch.randn(2, side, side, device=device, dtype=AUTOCAST_TYPES[precision]).unbind()
    operations = 2 * side**3

    def work() -> int:
        start = time.perf_counter()
        done = 0
        while time.perf_counter() - start < seconds:
            torch.mm(a, b)
            if device == "cuda":
                torch.cuda.synchronize()
            done += operations
        return done

    return work
