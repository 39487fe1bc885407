"""`vit compare`: many trainings, one test set, one report."""

import csv
import multiprocessing
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import file_digest
from itertools import chain, count
from pathlib import Path
from typing import Any

import numpy as np

from ..data import datasets
from ..errors import Interrupted, UserError
from ..recipe import Comparison, Recipe, override
from ..results import report
from ..results.comparison import Run, check_same_images, compare_runs
from ..run_folder import RunFolder, available_cores, environment, read_json, write_json, write_text
from ..tables import TABLES
from .compare_progress import CompareProgress
from .inputs import load_comparison, load_recipe

DATA_KEYS = ("name", "path", "validation_fraction", "test_fraction", "split_seed")  # they decide which image is where


@dataclass(frozen=True)
class PlannedRun:
    """One training of a comparison: which model, on how much data, with which seed, and where it is kept."""

    model: str
    recipe: Recipe
    fraction: float
    seed: int
    folder: RunFolder

    def title(self) -> str:
        return f"{self.model}  fraction {self.fraction:g}  seed {self.seed}"

    def work(self) -> float:
        """Return how much there is to do, in epochs of the whole training set."""
        return self.recipe.schedule.epochs * self.fraction


def compare(
    sources: Sequence[str | Path] | str | Path,
    *,
    out: str | Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    jobs: int | None = None,
) -> Path:
    """Carry out a comparison, or take finished runs, and return the folder of its report.

    A comparison continues where it stopped: what is there already, with the same settings, is not trained again.
    `jobs` trainings run side by side, by default one a core, and one alone on a GPU. Raises UserError, with nothing
    written, for recipes that do not fit together.
    """
    sources = [sources] if isinstance(sources, str | Path) else list(sources)
    if all(RunFolder(source).recipe.is_file() for source in sources):
        return compare_finished(sources, out)
    if len(sources) > 1:
        raise UserError(
            f"given: {', '.join(map(str, sources))}; allowed: one comparison, or run folders (with recipe.yaml)"
        )
    comparison = load_comparison(sources[0], overrides)
    folder = Path(out) if out is not None else Path("comparisons") / Path(sources[0]).stem
    planned = plan(comparison, folder)
    check_same_data(planned)
    check_same_settings(planned)
    write_text(folder / "comparison.yaml", comparison.to_yaml())
    try:
        train_side_by_side(planned, jobs or default_jobs(planned))
        measure_costs(planned, folder)
    except (KeyboardInterrupt, Interrupted) as error:
        raise Interrupted(folder) from error
    return write_report(folder, planned, Path(sources[0]).stem)


def compare_finished(sources: Sequence[str | Path], out: str | Path | None) -> Path:
    """Write the report of runs that exist; each must have been evaluated on the same test images."""
    folder = Path(out) if out is not None else Path("comparisons") / "finished"
    planned = name_finished([RunFolder(source) for source in sources])
    unevaluated = [str(p.folder.path) for p in planned if not p.folder.logits("test").exists()]
    if unevaluated:
        raise UserError(f"not evaluated yet: {', '.join(unevaluated)}; run: vit evaluate {unevaluated[0]}")
    check_same_images([read_run(p, {}) for p in planned])
    measure_costs(planned, folder)
    return write_report(folder, planned, "finished runs")


def name_finished(folders: Sequence[RunFolder]) -> list[PlannedRun]:
    """Return finished runs, those of one recipe under one name: its settings but for seed and fraction are the same.

    Raises UserError for the same model, seed and fraction given twice.
    """
    planned: list[PlannedRun] = []
    names: dict[str, str] = {}
    for folder in folders:
        recipe = load_recipe(folder.recipe)
        fraction, seed = recipe.data.fraction, recipe.training.seed
        kind = override(recipe, {"data.fraction": 1.0, "training.seed": 0}, TABLES).to_yaml()
        if kind not in names:
            names[kind] = unused_name(recipe, set(names.values()))
        run = PlannedRun(names[kind], recipe, fraction, seed, folder)
        twin = next((p for p in planned if (p.model, p.fraction, p.seed) == (run.model, fraction, seed)), None)
        if twin:
            raise UserError(f"{folder.path} and {twin.folder.path} are the same training: settings and seed are equal")
        planned.append(run)
    return planned


def unused_name(recipe: Recipe, taken: set[str]) -> str:
    """Return the model's name with its attention module, numbered where another recipe has it."""
    attention = recipe.model.options.get("attention", "none")
    name = recipe.model.name + ("" if attention == "none" else f"_{attention}")
    numbered = (f"{name}_{i}" for i in count(2))
    return next(free for free in chain([name], numbered) if free not in taken)


def plan(comparison: Comparison, folder: Path) -> list[PlannedRun]:
    """Return every training: the models in turn, so that a first picture of all of them comes early."""
    names = [Path(source).stem for source in comparison.recipes]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise UserError(
            f"recipes: {', '.join(twice)} is given twice; the report tells models apart by their file names"
        )
    changes = [
        {"data.fraction": fraction, "training.seed": seed}
        for seed in range(comparison.seeds)
        for fraction in sorted(comparison.fractions, reverse=True)
    ]
    return [
        PlannedRun(
            name,
            load_recipe(source, comparison.overrides | change),
            change["data.fraction"],
            change["training.seed"],
            RunFolder(folder / "runs" / name / f"fraction-{change['data.fraction']:g}-seed-{change['training.seed']}"),
        )
        for change in changes
        for name, source in zip(names, comparison.recipes, strict=True)
    ]


def check_same_data(planned: list[PlannedRun]) -> None:
    """Refuse models that would not be tested on the same images, and data that cannot be read."""
    first = planned[0]
    for other in planned:
        for key in DATA_KEYS:
            ours, theirs = getattr(first.recipe.data, key), getattr(other.recipe.data, key)
            if ours != theirs:
                raise UserError(
                    f"data.{key} is {ours} in {first.model} and {theirs} in {other.model}; "
                    "models are compared on the same images: give both one value"
                )
    dataset = datasets.load(first.recipe.data)
    datasets.check_readable(dataset.train, dataset.validation, dataset.test)


def check_same_settings(planned: list[PlannedRun]) -> None:
    """Refuse to continue runs that were started with other settings than the ones wanted now."""
    for p in planned:
        if p.folder.recipe.exists():
            p.folder.is_finished(p.recipe.to_yaml(), resume=True)


def default_jobs(planned: list[PlannedRun]) -> int:
    """Return one training a core on a CPU, where small models gain most so, and one at a time on a GPU."""
    import torch

    on_gpu = any(p.recipe.training.device != "cpu" for p in planned) and torch.cuda.is_available()
    return 1 if on_gpu else min(len(planned), available_cores())


def train_side_by_side(planned: list[PlannedRun], jobs: int) -> None:
    """Train and evaluate what is not there yet, each in a process of its own with its share of the cores."""
    threads = max(1, available_cores() // jobs)
    missing = [p for p in planned if not p.folder.scores("test").exists()]
    with CompareProgress(planned, missing, jobs) as progress, processes(jobs) as pool:
        if missing:
            pool.submit(decide_precision, missing[0], threads).result()
        futures: dict[Future, PlannedRun] = {pool.submit(train_and_evaluate, p, threads): p for p in missing}
        for future in as_completed(futures):
            progress.finished(futures[future], *result_of(future, futures[future]))


def result_of(future: Future, planned: PlannedRun) -> tuple[float, float]:
    """Return what a training gave; its mistake is told with its name, the trainings that ended are kept."""
    try:
        return future.result()
    except UserError as error:
        raise UserError(f"{planned.title()}: {error}") from error
    except BrokenProcessPool as error:
        raise UserError(
            f"{planned.title()}: its process was ended from outside, most likely for lack of memory; "
            "fewer --jobs or a smaller training.batch_size help, and what is done is kept"
        ) from error


def decide_precision(planned: PlannedRun, threads: int) -> None:
    """Measure what `auto` will be, once and undisturbed, so that every training chooses the same."""
    import torch

    from ..training.precision import resolve_device, resolve_precision

    torch.set_num_threads(threads)
    training = planned.recipe.training
    resolve_precision(training.precision, resolve_device(training.device))


def train_and_evaluate(planned: PlannedRun, threads: int) -> tuple[float, float]:
    """Return the accuracy on test, and the seconds that it took to get there."""
    import torch

    from .evaluate import evaluate
    from .train import train

    start = time.perf_counter()
    torch.set_num_threads(threads)
    train(planned.recipe, out=planned.folder.path, resume=planned.folder.recipe.exists(), quiet=True)
    return evaluate(planned.folder.path).scores["top1"], time.perf_counter() - start


@contextmanager
def processes(jobs: int) -> Iterator[ProcessPoolExecutor]:
    """Yield a pool that gives every task a fresh process: its own threads, memory peak and crash.

    Where the system can fork from a server, that server imports torch once for all of them. Leaving by an exception
    ends the running tasks and drops the waiting ones.
    """
    method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    context = multiprocessing.get_context(method)
    if method == "forkserver":
        context.set_forkserver_preload(["vit.commands.train", "vit.commands.evaluate"])
    pool = ProcessPoolExecutor(jobs, mp_context=context, max_tasks_per_child=1)
    try:
        yield pool
    except BaseException:
        for process in list((pool._processes or {}).values()):
            process.terminate()
        pool.shutdown(cancel_futures=True)
        raise
    pool.shutdown()


def measure_costs(planned: list[PlannedRun], folder: Path) -> None:
    """Time each model once, alone on the machine, after all training is done."""
    first = {p.model: p for p in reversed(planned)}
    missing = [p for p in first.values() if not is_measured(p, folder)]
    with processes(1) as pool:
        for p in missing:
            write_json(cost_file(folder, p.model), pool.submit(measure_cost, p).result())


def measure_cost(planned: PlannedRun) -> dict[str, Any]:
    from .. import checkpoint
    from ..models import family
    from ..results.cost import measure
    from ..training.precision import available_device

    loaded = checkpoint.load(planned.folder.path)
    training = planned.recipe.training
    timings = measure(
        loaded.module, loaded.preprocessing.image_size, training.batch_size, available_device(training.device)
    )
    return {"family": family(loaded.module), "model_digest": digest(planned.folder.model)} | asdict(timings)


def is_measured(planned: PlannedRun, folder: Path) -> bool:
    path = cost_file(folder, planned.model)
    return path.exists() and read_json(path)["model_digest"] == digest(planned.folder.model)


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def cost_file(folder: Path, model: str) -> Path:
    return folder / "costs" / f"{model}.json"


def read_run(planned: PlannedRun, cost: dict[str, Any]) -> Run:
    """Return what is kept of a run, for the report."""
    folder = planned.folder
    with np.load(folder.logits("test"), allow_pickle=False) as arrays:
        ids, labels, logits = arrays["ids"], arrays["labels"], arrays["logits"]
    with folder.metrics.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    surroundings = read_json(folder.environment)
    return Run(
        model=planned.model,
        fraction=planned.fraction,
        seed=planned.seed,
        recipe=planned.recipe.to_dict(),
        summary=read_json(folder.summary),
        scores=read_json(folder.scores("test")),
        ids=ids,
        labels=labels,
        logits=logits,
        curve={name: [float(row[name]) for row in rows] for name in rows[0]},
        cost=cost,
        machine=", ".join([surroundings["processor"], *surroundings["gpus"]]),
    )


def write_report(folder: Path, planned: list[PlannedRun], title: str) -> Path:
    runs = [read_run(p, read_json(cost_file(folder, p.model))) for p in planned]
    report.write(folder, compare_runs(runs) | {"title": title, "environment": environment()})
    return folder
