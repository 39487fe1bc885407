"""`vit train`: a recipe becomes a run folder."""

import logging
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger
from torch import nn

from .. import checkpoint
from ..data import datasets
from ..data.datasets import Dataset
from ..data.loading import evaluation_loader, preprocessing_of, training_loader
from ..data.mixing import make_mixing
from ..data.preprocessing import Preprocessing, normalize
from ..errors import Interrupted
from ..models import create_model, family
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
from ..training.task import Classification, PrepareBatch
from .inputs import load_recipe, new_folder

logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # its banner about devices and tips


def train(
    recipe: str | Path | Recipe,
    *,
    out: str | Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    resume: bool = False,
    quiet: bool = False,
) -> RunFolder:
    """Train what the recipe describes and return its run folder.

    `resume` continues after the last whole epoch. Raises UserError, with nothing written, for a recipe, data or
    weights that do not fit, and for a folder that already holds a run.
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
    preprocessing = preprocessing_of(recipe.data, data)
    L.seed_everything(recipe.training.seed, verbose=False)
    module = build_module(recipe, len(data.classes), say)
    say(f"{len(data.train):,} training and {len(data.validation):,} validation images, {len(data.classes)} classes")
    say(f"{recipe.model.name}: {count_parameters(module):,} parameters; {precision} on {device} ({why})")

    write_text(run.recipe, recipe.to_yaml())
    write_json(run.environment, environment())
    record = RunRecord(run.metrics)
    task = Classification(
        module, recipe, len(data.classes), batch_preparation(recipe, preprocessing, len(data.classes))
    )
    trainer = L.Trainer(
        max_epochs=recipe.schedule.epochs,
        accelerator="gpu" if device == "cuda" else "cpu",
        devices=1,
        precision=LIGHTNING_NAMES[precision],  # type: ignore[arg-type]
        gradient_clip_val=recipe.training.clip_norm,
        callbacks=callbacks(recipe, run, record, quiet),
        logger=loggers(recipe, run),
        default_root_dir=run.path,
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    try:
        fit(trainer, task, recipe, data, preprocessing, run.last_checkpoint if resume else None)
    except KeyboardInterrupt as error:
        raise Interrupted(run.path) from error
    if recipe.logging.wandb:
        import wandb

        wandb.finish()  # the run is then whole on disk, or sent
    checkpoint.save(run.model, module, data.classes, preprocessing, recipe)
    write_json(run.summary, summary(recipe, module, data, record, device, precision))
    say(f"validation top-1 {record.rows[-1]['validation_top1']:.2%}; next: vit evaluate {run.path}")
    return run


def build_module(recipe: Recipe, num_classes: int, say) -> nn.Module:
    """Build the recipe's model, with the weights it starts from."""
    model, size = recipe.model, recipe.data.image_size
    published = model.pretrained is True
    module = create_model(model.name, num_classes=num_classes, image_size=size, pretrained=published, **model.options)
    if model.pretrained and not published:
        say(checkpoint.start_from(module, str(model.pretrained)))
    if family(module) == "cnn":  # convolutions are faster so, on CPUs and GPUs
        module = module.to(memory_format=torch.channels_last)
    return module


def batch_preparation(recipe: Recipe, preprocessing: Preprocessing, num_classes: int) -> PrepareBatch:
    mix = make_mixing(recipe.mixing, num_classes)
    return lambda images, labels: mix(normalize(images, preprocessing), labels)


def callbacks(recipe: Recipe, run: RunFolder, record: RunRecord, quiet: bool) -> list[Callback]:
    found: list[Callback] = [record, LastCheckpoint(run.checkpoints)]
    if recipe.training.ema_decay:
        found.append(ExponentialMovingAverage(recipe.training.ema_decay))
    if not quiet:
        found.append(TrainingProgress(record))
    return found


def loggers(recipe: Recipe, run: RunFolder) -> list[Logger]:
    if not recipe.logging.wandb:
        return []
    import wandb
    from lightning.pytorch.loggers import WandbLogger

    mode = "online" if wandb.login(prompt=False) else "offline"
    if mode == "offline":
        print(f"no W&B account here: logging offline; later: wandb sync {run.path}/wandb/offline-*", file=sys.stderr)
    logger = WandbLogger(name=run.path.name, save_dir=run.path, project=recipe.logging.project, mode=mode)
    logger.log_hyperparams(recipe.to_dict())
    return [logger]


def fit(
    trainer: L.Trainer,
    task: Classification,
    recipe: Recipe,
    data: Dataset,
    preprocessing: Preprocessing,
    last_checkpoint: Path | None,
) -> None:
    loaders = (
        training_loader(recipe, data, preprocessing),
        evaluation_loader(data.validation, preprocessing, recipe.data, data.small),
    )
    start = last_checkpoint if last_checkpoint and last_checkpoint.exists() else None
    with warnings.catch_warnings():
        # Both are our decisions: small sets load in the main process, and an epoch may have few steps.
        warnings.filterwarnings("ignore", ".*does not have many workers.*")
        warnings.filterwarnings("ignore", ".*The number of training batches.*")
        warnings.filterwarnings("ignore", ".*LeafSpec.*")  # Lightning's own use of torch's pytrees
        warnings.filterwarnings("ignore", ".*Checkpoint directory .* exists and is not empty.*")
        try:
            trainer.fit(task, *loaders, ckpt_path=start, weights_only=False)  # our own file, with Python numbers in it
        except SystemExit as error:  # Lightning turns Ctrl-C into exit(1)
            raise KeyboardInterrupt from error
    if trainer.interrupted:
        raise KeyboardInterrupt


def summary(
    recipe: Recipe, module: nn.Module, data: Dataset, record: RunRecord, device: str, precision: str
) -> dict[str, Any]:
    return {
        "model": recipe.model.name,
        "parameters": count_parameters(module),
        "macs": count_macs(module, recipe.data.image_size),
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
