"""`vit train`: a recipe becomes a run folder."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn

from .. import checkpoint, processes
from ..data import datasets
from ..data.datasets import Dataset
from ..data.order import Position, Share, training_batches
from ..errors import UserError
from ..machine import keep_freed_memory
from ..models.counts import count_macs, count_parameters
from ..pretrained.weights import Weights
from ..recipe import Recipe
from ..run_folder import RunFolder, environment, write_csv, write_json, write_text
from ..say import ignore_line, print_line
from ..training import waiting
from ..training.callbacks import peak_memory_bytes
from ..training.checkpoints import not_written
from ..training.compiling import check_compiler
from ..training.engine import Engine, fit, make_engine, read_checkpoint, seed_generators_of_all
from ..training.kernels import choose_kernels
from ..training.loss import Loss
from ..training.placement import Placement, check_together, place
from ..training.precision import resolve_device, resolve_precision
from ..training.scores import WORDS, main_score
from ..training.task import Classification
from . import experiment_log
from .inputs import load_recipe, new_folder
from .learner import Learner, Start, find_parts, make_learner, make_start, read_weights


def train(
    recipe: str | Path | Recipe,
    *,
    out: str | Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    resume: bool = False,
    quiet: bool = False,
    weights: Weights | None = None,
) -> RunFolder:
    """Train what the recipe describes and return its run folder.

    `resume` continues after the last step that was saved; `weights` are the recipe's pretrained ones, where they are
    read already. Raises UserError, with nothing written, for a recipe, data or weights that do not fit, and for a
    folder that already holds a run; and, with the last checkpoint kept, for a training that diverges or a disk that is
    full. Raises Interrupted when a signal ended the run.
    """
    name = Path(recipe).stem if isinstance(recipe, str | Path) else recipe.model.name
    recipe = load_recipe(recipe, overrides)
    first = processes.is_first()
    run = RunFolder(new_folder(out, "runs", name))
    if run.summary.exists() and resume and not first:  # the first process tells
        return run
    if first and run.is_finished(recipe, resume):
        return run
    say = print_line if first and not quiet else ignore_line
    placement, precision, why = decide_place(recipe)
    if placement.device == "cpu":
        keep_freed_memory()

    data = datasets.load(recipe.data, say)
    datasets.check_readable(data.train, data.validation)
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
    saved = read_checkpoint(run.last_checkpoint) if resume else None
    parts = saved["parts"] if saved else find_parts(recipe, learner, data, placement, precision, say)
    steps_per_epoch = count_steps(recipe, data, parts, placement)
    macs = count_macs(start.module, recipe.data.image_size)
    wandb_mode = experiment_log.find_mode(recipe, run)

    if first:
        begin_folder(run, recipe, data)
    loggers = experiment_log.make_loggers(recipe, run, wandb_mode)
    engine = make_engine(recipe, run, placement, precision, parts, loggers, learner.seconds, quiet)
    loss = Loss(recipe.training, len(data.classes), data.train.labels)
    task = Classification(learner.module, recipe, loss, learner.loaders, learner.prepare_batch, steps_per_epoch).train()
    if recipe.training.compile:
        learner.module.compile()
    fit(engine.trainer, task, run, run.last_checkpoint if saved else None)

    if first:
        module = finished_module(recipe, run, start, learner, placement)
        described = summary(recipe, start, learner, data, engine, placement, precision) | {"macs": macs}
        write_results(run, recipe, start, data, module, described)
        experiment_log.finish(wandb_mode, described, data.classes, task.validation_sums.confusion)
        say(waiting.in_words(described["waiting_share"], recipe, data.small))
        score = main_score(task.scores)
        advice = f"vit evaluate {shlex.quote(str(run.path))}"
        say(f"validation {WORDS[score]} {described[f'validation_{score}']:.2%}; next: {advice}")
    return run


def decide_place(recipe: Recipe) -> tuple[Placement, str, str]:
    """Return where and in which precision a recipe runs, and why in this one; raises UserError for what cannot be."""
    device = resolve_device(recipe.training.device)
    precision, why = resolve_precision(recipe.training.precision, device)
    if recipe.training.compile:
        check_compiler(device)
    placement = place(recipe.training, device)
    check_together(recipe, placement, precision)
    return placement, precision, why


def begin_folder(run: RunFolder, recipe: Recipe, data: Dataset) -> None:
    write_text(run.recipe, recipe.to_yaml())
    write_json(run.environment, environment())
    write_skipped(run, data)
    processes.announce_folder(run.path)


def write_results(
    run: RunFolder, recipe: Recipe, start: Start, data: Dataset, module: nn.Module, described: dict[str, Any]
) -> None:
    """Write the model, and then the summary, which says that the run has ended; raises UserError for a full disk."""
    try:
        checkpoint.save(run.model, module, start.architecture, data.classes, start.preprocessing, recipe)
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


def write_skipped(run: RunFolder, data: Dataset) -> None:
    """List the files that were left out, where there are any."""
    if not data.skipped:
        return
    write_csv(run.skipped, [{"path": name, "reason": reason} for name, reason in data.skipped.items()])


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
        "epochs": len(record.rows),
        "kept_epoch": row["epoch"],
        "images_seen": record.images_seen,
        "seconds": round(record.train_seconds, 3),
        "train_images_per_second": record.images_seen / max(record.train_seconds, 1e-9),
        "waiting_share": round(record.waiting_seconds / max(record.train_seconds, 1e-9), 4),
        "peak_memory_bytes": peak_memory_bytes(placement.device),
        "device": placement.device,
        "processes": placement.world_size,
        "threads": torch.get_num_threads(),
        "precision": precision,
        score: row[score],
    }
