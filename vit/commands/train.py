"""`vit train`: a recipe becomes a run folder."""

import logging
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger
from torch.utils.data import DataLoader

from .. import checkpoint
from ..data import datasets
from ..data.datasets import Dataset
from ..errors import Interrupted, UserError
from ..pretrained.weights import Weights
from ..recipe import Recipe
from ..results.cost import count_macs, count_parameters
from ..run_folder import RunFolder, environment, write_json, write_text
from ..training.callbacks import (
    ExponentialMovingAverage,
    LastCheckpoint,
    RunRecord,
    TrainingProgress,
    peak_memory_bytes,
)
from ..training.precision import LIGHTNING_NAMES, resolve_device, resolve_precision
from ..training.task import Classification
from .inputs import load_recipe, new_folder
from .learner import Learner, Start, make_learner, make_start, read_weights

logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # its banner about devices and tips


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

    `resume` continues after the last whole epoch; `weights` are the recipe's pretrained ones, where they are read
    already. Raises UserError, with nothing written, for a recipe, data or weights that do not fit, and for a folder
    that already holds a run.
    """
    name = Path(recipe).stem if isinstance(recipe, str | Path) else recipe.model.name
    recipe = load_recipe(recipe, overrides)
    run = RunFolder(new_folder(out, "runs", name))
    if run.is_finished(recipe.to_yaml(), resume):
        return run
    say = (lambda line: None) if quiet else (lambda line: print(line, file=sys.stderr, flush=True))
    device = resolve_device(recipe.training.device)
    precision, why = resolve_precision(recipe.training.precision, device)

    data = datasets.load(recipe.data)
    datasets.check_readable(data.train, data.validation)
    weights = weights or read_weights(recipe)
    L.seed_everything(recipe.training.seed, verbose=False)  # behind the reading, which may draw numbers
    start = make_start(recipe, data, weights)
    if start.line:
        say(start.line)
    say(f"{len(data.train):,} training and {len(data.validation):,} validation images, {len(data.classes)} classes")
    say(f"{precision} on {device} ({why})")
    learner = make_learner(recipe, start, data, device, say)
    wandb_mode = find_wandb_mode(recipe, run)

    write_text(run.recipe, recipe.to_yaml())
    write_json(run.environment, environment())
    record = RunRecord(run.metrics, learner.seconds)
    task = Classification(learner.module, recipe, len(data.classes), learner.prepare_batch).train()
    trainer = make_trainer(recipe, run, record, device, precision, wandb_mode, quiet)
    try:
        fit(trainer, task, learner.loaders, run.last_checkpoint if resume else None)
    except KeyboardInterrupt as error:
        raise Interrupted(run.path) from error
    if learner.adapters:
        learner.adapters.merge()
    checkpoint.save(run.model, start.module, start.architecture, data.classes, start.preprocessing, recipe)
    write_json(run.summary, summary(recipe, start, learner, data, record, device, precision))
    if wandb_mode:
        import wandb

        wandb.finish()  # the run is then whole on disk, or sent
    say(f"validation top-1 {record.rows[-1]['validation_top1']:.2%}; next: vit evaluate {run.path}")
    return run


def make_trainer(
    recipe: Recipe,
    run: RunFolder,
    record: RunRecord,
    device: str,
    precision: str,
    wandb_mode: Literal["online", "offline"] | None,
    quiet: bool,
) -> L.Trainer:
    return L.Trainer(
        max_epochs=recipe.schedule.epochs,
        accelerator="gpu" if device == "cuda" else "cpu",
        devices=1,
        precision=LIGHTNING_NAMES[precision],  # type: ignore[arg-type]
        gradient_clip_val=recipe.training.clip_norm,
        callbacks=callbacks(recipe, run, record, device, quiet),
        logger=loggers(recipe, run, wandb_mode),
        default_root_dir=run.path,
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )


def callbacks(recipe: Recipe, run: RunFolder, record: RunRecord, device: str, quiet: bool) -> list[Callback]:
    found: list[Callback] = [record, LastCheckpoint(run.checkpoints)]
    if recipe.training.ema_decay:
        found.append(ExponentialMovingAverage(recipe.training.ema_decay, device))
    if not quiet:
        found.append(TrainingProgress(record))
    return found


def find_wandb_mode(recipe: Recipe, run: RunFolder) -> Literal["online", "offline"] | None:
    """Return how W&B will log, or None where the recipe does not ask for it; raises UserError for a refused key."""
    if not recipe.logging.wandb:
        return None
    import wandb
    from wandb.errors import AuthenticationError

    try:
        known = wandb.login(prompt=False)
    except AuthenticationError as error:
        raise UserError(f"W&B refuses its key: {error}; log in again, or set WANDB_MODE=offline") from error
    if known:
        return "online"
    print(f"no W&B account here: logging offline; later: wandb sync {run.path}/wandb/offline-*", file=sys.stderr)
    return "offline"


def loggers(recipe: Recipe, run: RunFolder, wandb_mode: Literal["online", "offline"] | None) -> list[Logger]:
    if wandb_mode is None:
        return []
    from lightning.pytorch.loggers import WandbLogger

    logger = WandbLogger(name=run.path.name, save_dir=run.path, project=recipe.logging.project, mode=wandb_mode)
    logger.log_hyperparams(recipe.to_dict())
    return [logger]


def fit(
    trainer: L.Trainer, task: Classification, loaders: tuple[DataLoader, DataLoader], last_checkpoint: Path | None
) -> None:
    """Train to the end, from the last checkpoint where there is one; raises KeyboardInterrupt when interrupted."""
    start = last_checkpoint if last_checkpoint and last_checkpoint.exists() else None
    with warnings.catch_warnings():
        # Our decisions: small sets load in the main process, an epoch may have few steps, resuming meets checkpoints.
        warnings.filterwarnings("ignore", ".*does not have many workers.*")
        warnings.filterwarnings("ignore", ".*The number of training batches.*")
        warnings.filterwarnings("ignore", ".*LeafSpec.*")  # Lightning's own use of torch's pytrees
        warnings.filterwarnings("ignore", ".*in eval mode at the start of training.*")  # frozen BatchNorms
        warnings.filterwarnings("ignore", ".*Checkpoint directory .* exists and is not empty.*")
        try:
            trainer.fit(task, *loaders, ckpt_path=start, weights_only=False)  # our own file, with Python numbers in it
        except SystemExit as error:  # Lightning turns Ctrl-C into exit(1)
            raise KeyboardInterrupt from error
        except UserError as error:  # a loading process sends its traceback with the message
            raise UserError(str(error).rsplit("UserError: ", 1)[-1].strip()) from error
    if trainer.interrupted:
        raise KeyboardInterrupt


def summary(
    recipe: Recipe, start: Start, learner: Learner, data: Dataset, record: RunRecord, device: str, precision: str
) -> dict[str, Any]:
    return {
        "model": recipe.model.name,
        "start": start.line,
        "parameters": count_parameters(start.module),
        "trainable_parameters": learner.parameters,
        "macs": count_macs(start.module, recipe.data.image_size),
        "training_images": len(data.train),
        "validation_images": len(data.validation),
        "epochs": recipe.schedule.epochs,
        "images_seen": record.images_seen,
        "seconds": round(record.train_seconds, 3),
        "train_images_per_second": record.images_seen / max(record.train_seconds, 1e-9),
        "peak_memory_bytes": peak_memory_bytes(device),
        "device": device,
        "threads": torch.get_num_threads(),
        "precision": precision,
        "validation_top1": record.rows[-1]["validation_top1"],
    }
