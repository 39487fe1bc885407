"""Work in processes of its own: trainings side by side, then each model timed alone."""

import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..files import digest_of_file, read_json, read_memory, write_json
from ..folder_lock import at_work
from ..hardware.machine import keep_freed_memory
from ..recipe import Recipe
from ..report.run_files import Cost
from .forecast import Forecast
from .fresh_processes import SECONDS_TO_STOP, FreshProcesses
from .jobs import default_jobs, threads_of_a_training
from .plan import PlannedRun, not_finished
from .progress import CompareProgress
from .time_limit import TimeLimit


def train_side_by_side(planned: list[PlannedRun], jobs: int | None, limit: TimeLimit | None = None) -> None:
    """Train and evaluate what is not there yet, each in a process of its own with its share of the cores.

    Within a time limit, what there is no time for is left out, and listed there.
    """
    jobs = jobs or default_jobs(planned)
    threads = threads_of_a_training(jobs)
    missing = not_finished(planned)
    with CompareProgress(planned, missing, jobs, limit) as progress, FreshProcesses(jobs) as processes:
        if missing:
            processes.one(decide_precision, missing[0], threads)
        forecast = Forecast(planned, progress, jobs)
        waiting = limit.within(missing, forecast) if limit else missing
        for training, (top1, seconds) in processes.each(train_and_evaluate, waiting, threads):
            progress.finished(training, top1, seconds)
            if limit:
                limit.keep()


def decide_precision(planned: PlannedRun, threads: int) -> str:
    """Measure what `auto` will be, once and undisturbed, so that every training chooses the same; return it."""
    import torch

    from ..hardware.precision import resolve_device, resolve_precision

    torch.set_num_threads(threads)
    training = planned.recipe.training
    return resolve_precision(training.precision, resolve_device(training.device))[0]


def train_and_evaluate(planned: PlannedRun, threads: int) -> tuple[float, float]:
    """Return the accuracy, and the seconds that it took to get there."""
    import torch

    from ..evaluation.evaluate import evaluate
    from ..training.run import run_training

    start = time.perf_counter()
    torch.set_num_threads(threads)
    run = planned.folder
    try:
        with at_work(run.path, SECONDS_TO_STOP):  # of a comparison that was killed, whose training still ends
            run_training(run, planned.recipe, resume=run.recipe.exists(), quiet=True)
    except UserError:
        if planned.judged_on == "test" or not planned.folder.diverged.exists():
            raise
        write_json(planned.folder.scores("validation"), {"top1": 0.0, "diverged": True})  # a trial that lost
        return 0.0, time.perf_counter() - start
    if planned.judged_on == "test":
        evaluate(planned.folder.path, split="validation")  # what temperatures are fitted on
    return evaluate(planned.folder.path, split=planned.judged_on).scores["top1"], time.perf_counter() - start


def measure_costs(planned: list[PlannedRun], folder: Path) -> dict[str, Cost]:
    """Time each model once, alone on the machine, after all training is done; return the costs by model."""
    first = {p.model: p for p in reversed(planned)}
    missing = [p for p in first.values() if not is_measured(p, folder)]
    with FreshProcesses(1) as alone:
        for p, cost in alone.each(measure_cost, missing):
            write_json(cost_file(folder, p.model), cost)
    return {model: _file_size(p) | read_json(cost_file(folder, model)) for model, p in first.items()}


def measure_cost(planned: PlannedRun) -> dict[str, Any]:
    from ..hardware.precision import AUTOCAST_TYPES, available_device
    from ..hardware.timing import measure
    from ..kernels.choose import choose_kernels
    from ..model import load
    from ..models.activation_checkpointing import checkpoint_activations
    from ..models.interface import structure_of

    model = load(planned.folder.path)
    summary = read_json(planned.folder.summary)
    size, precision = model.preprocessing.image_size, summary["precision"]
    device = available_device(planned.recipe.training.device)
    keep_freed_memory()  # as in a training
    kind = structure_of(model.module).family
    if planned.recipe.training.gradient_checkpointing:
        checkpoint_activations(model.module)
    choose_kernels(model.module, size, precision, device)
    timings = measure(model.module, size, images_at_once(planned.recipe, summary), device, AUTOCAST_TYPES[precision])
    told = {"family": kind, "model_digest": digest_of_file(planned.folder.model), "train_precision": precision}
    return told | _file_size(planned) | asdict(timings)


def _file_size(planned: PlannedRun) -> dict[str, int]:
    """Return what costs that were kept before it was told lack; the file is the one that they are of."""
    return {"model_bytes": planned.folder.model.stat().st_size}


def images_at_once(recipe: Recipe, summary: Mapping[str, Any]) -> int:
    """Return how many images a device of a training took at once: a part of its share of a step."""
    pieces = summary.get("processes", 1) * summary.get("parts", 1)
    return max(1, min(recipe.training.batch_size, summary["training_images"]) // pieces)


def is_measured(planned: PlannedRun, folder: Path) -> bool:
    known = read_memory(cost_file(folder, planned.model))
    if known is None or "latency_ms_low" not in known:  # kept before the spread of rounds was
        return False
    return known.get("model_digest") == digest_of_file(planned.folder.model)


def cost_file(folder: Path, model: str) -> Path:
    return folder / "costs" / f"{model}.json"
