"""A recipe becomes a run folder: everything that a training is made of, in the order in which it is needed."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn

from .. import model as model_file
from ..data.loading.order import Position, training_batches
from ..data.sources import contents, datasets
from ..data.sources.contents import Contents, contents_of
from ..data.sources.datasets import Dataset
from ..environment import environment
from ..errors import UserError
from ..files import remove_unfinished, write_csv, write_json, write_text
from ..hardware import processes
from ..hardware.distributed import of_the_first
from ..hardware.machine import keep_freed_memory
from ..hardware.precision import resolve_device, resolve_precision
from ..hardware.processes import Share
from ..kernels.choose import choose_kernels
from ..models.flops import count_macs, count_parameters
from ..pretrained.weights import Weights
from ..progress import ignore_line, print_line
from ..recipe import Recipe
from ..run_folder import RunFolder
from . import data_stalls, experiment_log, resuming
from .callbacks import peak_memory_bytes
from .checkpoints import not_written
from .checks import check_batches_of_one, check_optimizer
from .compiling import check_compiler
from .engine import Engine, fit, make_engine, seed_generators_of_all
from .loss import Loss
from .placement import Placement, check_together, place
from .scores import WORDS, main_score
from .setup import Learner, Start, find_parts, make_learner, make_start, read_weights
from .task import Classification


def run_training(
    run: RunFolder, recipe: Recipe, *, resume: bool = False, quiet: bool = False, weights: Weights | None = None
) -> RunFolder:
    """Train what a recipe describes, in a folder where nobody else is at work.

    `resume` continues after the last step that was saved; `weights` are the recipe's pretrained ones, where they are
    read already. Raises as `vit.commands.train.train` does.
    """
    first = processes.is_first()
    if run.summary.exists() and resume and not first:  # the first process tells
        return run
    if first and run.is_finished(recipe, resume):
        return run
    say = print_line if first and not quiet else ignore_line
    placement, precision, why = decide_place(recipe)
    check_optimizer(recipe, placement.device)
    if placement.device == "cpu":
        keep_freed_memory()

    data = datasets.load(recipe.data, say)
    datasets.check_readable(data.train, data.validation, data.test)
    images = contents_of(data, say) if first else None
    if images:
        check_same_images(run, images)
    weights = weights or read_weights(recipe)
    seed_generators_of_all(recipe.training.seed)  # behind the reading, which may draw numbers
    start = make_start(recipe, data, weights)
    if start.line:
        say(start.line)
    say(f"{len(data.train):,} training and {len(data.validation):,} validation images, {len(data.classes)} classes")
    say(f"{precision} on {placement.in_words()} ({why})")
    learner = make_learner(recipe, start, data, placement.device, say)
    kernels = choose_kernels(learner.module, recipe.data.image_size, precision, placement.device)
    if kernels:
        say(kernels)
    saved = resuming.read(run, learner.module, recipe) if resume else None
    parts = saved["parts"] if saved else find_parts(recipe, learner, data, placement, precision, say)
    goes_on = saved is not None
    del saved  # Windows replaces no file while it is read
    check_batches_of_one(recipe, start.module, data, parts, placement)
    steps_per_epoch = count_steps(recipe, data, parts, placement)
    macs = count_macs(start.module, recipe.data.image_size)
    wandb_mode = experiment_log.find_mode(recipe, run)

    if images:
        remove_unfinished(run.path)
        begin_folder(run, recipe, data, images)
    loggers = experiment_log.make_loggers(recipe, run, wandb_mode)
    engine = make_engine(recipe, run, placement, precision, parts, loggers, learner.seconds, quiet)
    loss = Loss(recipe.training, len(data.classes), data.train.labels)
    task = Classification(learner.module, recipe, loss, learner.loaders, learner.prepare_batch, steps_per_epoch).train()
    if recipe.training.compile:
        learner.module.compile()
    fit(engine.trainer, task, run, run.last_checkpoint if goes_on else None)

    if first:
        module = finished_module(recipe, run, start, learner, placement)
        described = summary(recipe, start, learner, data, engine, placement, precision) | {"macs": macs}
        write_results(run, recipe, start, data, module, engine.record.rows, described)
        experiment_log.finish(wandb_mode, described, data.classes, task.validation_sums.confusion)
        say(data_stalls.in_words(described["waiting_share"], recipe, data.small))
        score = main_score(task.scores)
        say(f"validation {WORDS[score]} {described[f'validation_{score}']:.2%}")
        say(f"next: {shlex.join(['vit', 'evaluate', str(run.path)])}")
    return run


def decide_place(recipe: Recipe) -> tuple[Placement, str, str]:
    """Return where and in which precision a recipe runs, and why in this one; raises UserError for what cannot be."""
    device = resolve_device(recipe.training.device)
    placement = place(recipe.training, device)
    precision, why = precision_of_all(recipe.training.precision, device)
    if recipe.training.compile:
        check_compiler(device)
    check_together(recipe, placement, precision)
    return placement, precision, why


def precision_of_all(precision: str, device: str) -> tuple[str, str]:
    """Return the precision of every process, and why, as the first one measures it."""
    if precision != "auto" or device == "cuda":  # the cards are of one kind
        return resolve_precision(precision, device)
    found, why = of_the_first("precision", lambda: resolve_precision(precision, device), device)
    return found, why


def check_same_images(run: RunFolder, images: Contents) -> None:
    """Refuse to go on with a run on images that are not those it began with."""
    kept = contents.read(run.images)
    if kept:
        contents.check_unchanged(kept, images, str(run.path), "put them back, or train anew in another --out")


def begin_folder(run: RunFolder, recipe: Recipe, data: Dataset, images: Contents) -> None:
    write_text(run.recipe, recipe.to_yaml())
    write_json(run.environment, environment())
    contents.write(run.images, images)
    write_reasons(run.skipped, data.skipped)
    write_reasons(run.passed_over, data.passed_over)
    run.begun = run.facts()
    processes.announce("folder", str(run.path))


def write_results(
    run: RunFolder,
    recipe: Recipe,
    start: Start,
    data: Dataset,
    module: nn.Module,
    epochs: list[dict[str, Any]],
    described: dict[str, Any],
) -> None:
    """Write the model, and then the summary, which says that the run has ended; raises UserError for a full disk."""
    if not run.is_there():
        raise run.removed()
    try:
        model_file.save(run.model, module, start.architecture, data.classes, start.preprocessing, recipe)
        write_csv(run.metrics, epochs)  # on a disk that was full, an epoch's rows may be missing
        write_json(run.summary, described)
    except OSError as error:
        raise UserError(f"{not_written(run.model, error)}; free some space, then end the run with --resume") from error


def count_steps(recipe: Recipe, data: Dataset, parts: int, placement: Placement) -> int:
    """Return the steps of an epoch; raises UserError where parts and processes do not divide a step."""
    share = Share(0, placement.world_size)
    batches = training_batches(recipe, data.train, parts, share, Position())
    return len(batches) // parts


def finished_module(recipe: Recipe, run: RunFolder, start: Start, learner: Learner, placement: Placement) -> nn.Module:
    """Return the module with the weights that the run keeps."""
    module = start.module
    if placement.strategy == "fsdp":  # its parts lie in all processes
        module = start.architecture.build(recipe.data.image_size)
        module.load_state_dict(load_file(run.kept_weights))
    elif recipe.training.keep == "best":
        learner.module.load_state_dict(load_file(run.kept_weights))
    if learner.adapters:
        learner.adapters.merge()
    return module


def write_reasons(path: Path, reasons: Mapping[str, str]) -> None:
    """List what was left out, where there is any."""
    if reasons:
        write_csv(path, [{"path": name, "reason": reason} for name, reason in reasons.items()])


def summary(
    recipe: Recipe,
    start: Start,
    learner: Learner,
    data: Dataset,
    engine: Engine,
    placement: Placement,
    precision: str,
) -> dict[str, Any]:
    record, kept = engine.record, engine.kept
    row = record.rows[kept.best_epoch - 1] if recipe.training.keep == "best" else record.rows[-1]
    score = f"validation_{main_score(row)}"
    return {
        "model": recipe.model.name,
        "start": start.line,
        "parameters": count_parameters(start.module),
        "trainable_parameters": learner.parameters,
        "training_images": len(data.train),
        "validation_images": len(data.validation),
        "skipped_images": len(data.skipped),
        "passed_over": len(data.passed_over),
        "epochs": len(record.rows),
        "kept_epoch": row["epoch"],
        "images_seen": record.images_seen,
        "seconds": round(record.train_seconds, 3),
        "train_images_per_second": record.images_seen / max(record.train_seconds, 1e-9),
        "waiting_share": round(record.waiting.seconds / max(record.train_seconds, 1e-9), 4),
        "peak_memory_bytes": peak_memory_bytes(placement.device),
        "device": placement.device,
        "processes": placement.world_size,
        "parts": engine.trainer.accumulate_grad_batches,
        "threads": torch.get_num_threads(),
        "precision": precision,
        score: row[score],
    }
