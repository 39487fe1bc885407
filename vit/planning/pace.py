"""How fast contestants learn and answer on this machine: a few real steps of each, loading and augmentation included.

Each is measured in a process of its own, as many side by side as will train so.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..comparison.fresh_processes import FreshProcesses
from ..comparison.jobs import threads_of_a_training
from ..comparison.plan import PlannedRun

if TYPE_CHECKING:
    from torch import Tensor

    from ..training.trial_steps import Trial

WARM_UP_STEPS = 2
LEAST_STEPS = 3
MEASURED_SECONDS = 2.0
ANSWERED = 2  # batches


@dataclass(frozen=True)
class Pace:
    """What a training of a contestant takes: to begin, and for every image that it learns from, or answers."""

    parameters: int
    macs: int
    seconds_to_begin: float
    seconds_per_training_image: float
    seconds_per_answer: float


def paces_of(planned: Sequence[PlannedRun], jobs: int) -> dict[str, Pace]:
    """Measure every contestant; raises UserError for a recipe that cannot be trained."""
    with FreshProcesses(jobs) as processes:
        found = {p.model: pace for p, pace in processes.each(measure, planned, threads_of_a_training(jobs))}
    return {p.model: found[p.model] for p in planned}


def measure(planned: PlannedRun, threads: int) -> Pace:
    import torch

    from ..data.sources import datasets
    from ..hardware.machine import keep_freed_memory
    from ..models.flops import count_macs, count_parameters
    from ..training.trial_steps import make_trial

    torch.set_num_threads(threads)
    keep_freed_memory()
    began = time.perf_counter()
    trial = make_trial(planned.recipe, datasets.load(planned.recipe.data))
    module = trial.model.module
    parameters, macs = count_parameters(module), count_macs(module, planned.recipe.data.image_size)
    batches = trial.batches()
    first = [next(batches) for _ in range(trial.parts)]
    ready = time.perf_counter() - began
    for _ in range(WARM_UP_STEPS):
        trial.step(first)
    images, steps, start = 0, 0, time.perf_counter()
    while steps < LEAST_STEPS or time.perf_counter() - start < MEASURED_SECONDS:
        parts = [next(batches) for _ in range(trial.parts)]
        trial.step(parts)  # its loss is read, which waits for the device
        images += sum(len(inputs) for inputs, _ in parts)
        steps += 1
    training = (time.perf_counter() - start) / images
    return Pace(parameters, macs, ready, training, seconds_per_answer(trial, first[0][0]))


def seconds_per_answer(trial: "Trial", inputs: "Tensor") -> float:
    import torch

    module = trial.module.eval()
    with (
        torch.inference_mode(),
        torch.autocast(trial.device, trial.autocast_type, enabled=trial.autocast_type is not None),
    ):
        module(inputs).float().sum().item()
        start = time.perf_counter()
        for _ in range(ANSWERED):
            module(inputs).float().sum().item()
    return (time.perf_counter() - start) / (ANSWERED * len(inputs))
