"""How many trainings run side by side on this machine, and how many threads each has."""

from collections.abc import Sequence

from ..hardware.machine import available_cores
from .plan import PlannedRun


def default_jobs(planned: Sequence[PlannedRun]) -> int:
    """Return one training a core on a CPU, where small models gain most so, and one at a time on a GPU."""
    import torch

    on_gpu = any(p.recipe.training.device != "cpu" for p in planned) and torch.cuda.is_available()
    return 1 if on_gpu else min(len(planned), available_cores())


def threads_of_a_training(jobs: int) -> int:
    return max(1, available_cores() // jobs)
