"""A recipe becomes a run folder: everything that a training is made of, in the order in which it is needed."""

import logging
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from shutil import copyfile
from typing import Any

import torch
from safetensors.torch import load_file

from ..data.loading.order import Position, training_batches
from ..data.sources import contents, datasets
from ..data.sources.contents import Contents, contents_of
from ..data.sources.datasets import Dataset
from ..environment import environment
from ..errors import UserError
from ..files import remove_unfinished, replace_file, write_csv, write_json, write_text
from ..hardware import processes
from ..hardware.distributed import of_the_first
from ..hardware.machine import keep_freed_memory
from ..hardware.precision import resolve_device, resolve_precision
from ..hardware.processes import Share
from ..kernels.choose import choose_kernels
from ..messages import quieted
from ..model import Model
from ..models.flops import count_macs, count_parameters
from ..models.patch_prediction import PatchPrediction
from ..places import expanded
from ..pretrained.start import LearnedWithoutLabels, Start
from ..pretrained.weights import Weights
from ..recipe import Recipe
from ..run_folder import RunFolder
from . import data_stalls, experiment_log, reconstructions, resuming
from .callbacks import peak_memory_bytes
from .checkpoints import not_written
from .checks import check_batches_of_one, check_optimizer
from .compiling import check_compiler
from .engine import Engine, fit, make_engine, seed_generators_of_all
from .objectives import Objective
from .placement import Placement, check_together, place
from .scores import WORDS, in_words, main_score
from .setup import Learner, find_parts, learning_module, make_learner, make_model, make_objective, read_weights
from .task import Task

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prepared:
    """A training of which nothing is written yet, and that nothing known before its first step forbids.

    `images` are the digests of all images, in the first process; `continues` says that a checkpoint is there.
    """

    run: RunFolder
    recipe: Recipe
    placement: Placement
    precision: str
    data: Dataset
    images: Contents | None
    model: Model
    learner: Learner
    objective: Objective
    parts: int
    steps_per_epoch: int
    continues: bool
    macs: int
    wandb_mode: experiment_log.Mode | None


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
    with quieted(quiet):
        prepared = prepare(run, recipe, resume, weights)
        engine, task = fit_prepared(prepared)
        if first:
            conclude(prepared, engine, task)
    return run


def prepare(run: RunFolder, recipe: Recipe, resume: bool, weights: Weights | None) -> Prepared:
    """Load and build what a training needs; raises UserError for what cannot be."""
    placement, precision, why = decide_place(recipe)
    check_optimizer(recipe, placement.device)
    keep_freed_memory()  # steps on a CPU, and batches for a GPU, take as much again and again
    data = read_data(recipe)
    datasets.log_left_out(data)
    datasets.check_readable(data.train, data.validation, data.test)
    images = contents_of(data) if processes.is_first() else None
    if images:
        check_same_images(run, images)
    weights = weights or read_weights(recipe)
    seed_generators_of_all(recipe.training.seed)  # behind the reading, which may draw numbers
    model = make_model(recipe, data, weights)
    log_beginning(model, data, f"{precision} on {placement.in_words()} ({why})")
    learner = make_learner(recipe, model, data, placement.device)
    objective = make_objective(learner.module, model, data.train.labels, placement.device)
    kernels = choose_kernels(learner.module, recipe.data.image_size, precision, placement.device)
    if kernels:
        logger.info(kernels)
    saved = resuming.read(run, learner.module, recipe) if resume else None
    parts = saved["parts"] if saved else find_parts(recipe, learner, data, placement, precision)
    continues = saved is not None
    del saved  # Windows replaces no file while it is read
    check_batches_of_one(recipe, model.module, data, parts, placement)
    steps_per_epoch = count_steps(recipe, data, parts, placement)
    macs = count_macs(model.module, recipe.data.image_size)
    wandb_mode = experiment_log.find_mode(recipe, run)
    return Prepared(
        run,
        recipe,
        placement,
        precision,
        data,
        images,
        model,
        learner,
        objective,
        parts,
        steps_per_epoch,
        continues,
        macs,
        wandb_mode,
    )


def read_data(recipe: Recipe) -> Dataset:
    """Return a recipe's images; where no labels are learned, they may have decided the splits, and nothing else."""
    data = datasets.load(recipe.data)
    return datasets.without_labels(data) if recipe.pretraining else data


def log_beginning(model: Model, data: Dataset, where: str) -> None:
    if model.start:
        logger.info(model.start.in_words())
    of_classes = f"{len(data.classes)} classes" if model.classes else "labels unread"
    logger.info(f"{len(data.train):,} training and {len(data.validation):,} validation images, {of_classes}")
    logger.info(where)


def fit_prepared(p: Prepared) -> tuple[Engine, Task]:
    """Begin the run's folder and train to the end."""
    if p.images:
        remove_unfinished(p.run.path)
        begin_folder(p.run, p.recipe, p.data, p.images)
        if p.model.start:
            keep_images_of_start(p.run, p.model.start)
    loggers = experiment_log.make_loggers(p.recipe, p.run, p.wandb_mode)
    engine = make_engine(p.recipe, p.run, p.placement, p.precision, p.parts, loggers, p.learner.seconds)
    learner = p.learner
    task = Task(learner.module, p.recipe, p.objective, learner.loaders, learner.prepare_batch, p.steps_per_epoch)
    if p.recipe.training.compile:
        learner.module.compile()
    fit(engine.trainer, task.train(), p.run, p.run.last_checkpoint if p.continues else None)
    return engine, task


def conclude(p: Prepared, engine: Engine, task: Task) -> None:
    """Write what the run ends with, and log what comes next."""
    described = summary(p, engine)
    model = replace(finished(p), pretraining=learned_without_labels(p, engine))
    if isinstance(p.learner.module, PatchPrediction) and p.placement.strategy != "fsdp":
        reconstructions.write(p.run.reconstructions, model, p.learner.module, p.data.validation)
    write_results(p.run, model, engine.record.rows, described)
    experiment_log.finish(p.wandb_mode, described, p.data.classes, task.validation_sums.confusion)
    logger.info(data_stalls.in_words(described["waiting_share"], p.recipe, p.data.small))
    score = main_score(task.scores)
    logger.info(f"validation {WORDS[score]} {in_words(score, described[f'validation_{score}'])}")
    following = ["evaluate", str(p.run.path)] if p.model.classes else ["finetune", str(p.run.path), "DATA"]
    logger.info(f"next: {shlex.join(['vit', *following])}")


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


def keep_images_of_start(run: RunFolder, start: Start) -> None:
    """Keep which images the weights of a run's start were learned from without labels, where they lie in a run."""
    seen = RunFolder(expanded(start.pretrained).parent).learned_without_labels()
    if seen is not None:
        replace_file(run.unlabelled_images, lambda beside: copyfile(seen, beside))


def write_results(
    run: RunFolder, model: Model, epochs: Sequence[Mapping[str, Any]], described: Mapping[str, Any]
) -> None:
    """Write the model, and then the summary, which says that the run has ended; raises UserError for a full disk."""
    if not run.is_there():
        raise run.removed()
    try:
        model.save(run.model)
        write_csv(run.metrics, epochs)  # on a disk that was full, an epoch's rows may be missing
        write_json(run.summary, described)
    except OSError as error:
        raise UserError(f"{not_written(run.model, error)}; free some space, then end the run with --resume") from error


def count_steps(recipe: Recipe, data: Dataset, parts: int, placement: Placement) -> int:
    """Return the steps of an epoch; raises UserError where parts and processes do not divide a step."""
    share = Share(0, placement.world_size)
    batches = training_batches(recipe, data.train, parts, share, Position())
    return len(batches) // parts


def finished(p: Prepared) -> Model:
    """Return the model with the weights that the run keeps."""
    model = p.model
    if p.placement.strategy == "fsdp":  # its parts lie in all processes
        model = replace(model, module=model.architecture.build(p.recipe.data.image_size))
        learning_module(p.recipe, model).load_state_dict(load_file(p.run.kept_weights))
    elif p.recipe.training.keep == "best":
        p.learner.module.load_state_dict(load_file(p.run.kept_weights))
    if p.learner.adapters:
        p.learner.adapters.merge()
    return model


def learned_without_labels(p: Prepared, engine: Engine) -> LearnedWithoutLabels | None:
    """Return what a pretraining learned from, for the model's file."""
    if p.recipe.pretraining is None:
        return None
    assert p.images is not None
    return LearnedWithoutLabels(
        method=p.recipe.pretraining.method,
        images=len(p.data.train),
        epochs=len(engine.record.rows),
        seconds=round(engine.record.train_seconds, 1),
        images_digest=contents.digest_of_all(p.images.digests["train"]),
    )


def write_reasons(path: Path, reasons: Mapping[str, str]) -> None:
    """List what was left out, where there is any."""
    if reasons:
        write_csv(path, [{"path": name, "reason": reason} for name, reason in reasons.items()])


def summary(p: Prepared, engine: Engine) -> dict[str, Any]:
    """Return what summary.json holds."""
    record, kept = engine.record, engine.kept
    row = record.rows[kept.best_epoch - 1] if p.recipe.training.keep == "best" else record.rows[-1]
    score = f"validation_{main_score(row)}"
    return {
        "model": p.recipe.model.name,
        "start": asdict(p.model.start) if p.model.start else None,
        "parameters": count_parameters(p.model.module),
        "trainable_parameters": p.learner.parameters,
        "training_images": len(p.data.train),
        "validation_images": len(p.data.validation),
        "skipped_images": len(p.data.skipped),
        "passed_over": len(p.data.passed_over),
        "epochs": len(record.rows),
        "kept_epoch": row["epoch"],
        "images_seen": record.images_seen,
        "seconds": round(record.train_seconds, 3),
        "train_images_per_second": record.images_seen / max(record.train_seconds, 1e-9),
        "waiting_share": round(record.waiting.seconds / max(record.train_seconds, 1e-9), 4),
        "peak_memory_bytes": peak_memory_bytes(p.placement.device),
        "augmentation": p.learner.loaders.augmentation,
        "device": p.placement.device,
        "processes": p.placement.world_size,
        "parts": engine.trainer.accumulate_grad_batches,
        "threads": torch.get_num_threads(),
        "precision": p.precision,
        "macs": p.macs,
        score: row[score],
    }
