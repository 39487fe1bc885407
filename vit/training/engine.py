"""Lightning's Trainer, set up for a run: what happens beside the steps, and how it ends."""

import logging
import signal
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger
from lightning.pytorch.plugins import MixedPrecision
from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy, Strategy

from ..errors import Interrupted, UserError
from ..hardware import endings, processes
from ..hardware.distributed import ending_together
from ..hardware.machine import OUT_OF_SHARED_MEMORY, is_out_of_memory, is_out_of_shared_memory
from ..hardware.precision import LIGHTNING_NAMES
from ..recipe import Recipe
from ..run_folder import RunFolder
from .averaging import ExponentialMovingAverage
from .callbacks import RunRecord, TrainingProgress
from .checkpoints import GatheredWeights, KeptWeights, LastCheckpoint, WholeFiles
from .data_stalls import DataStalls
from .memory import out_of_memory_message
from .nonfinite import NonFiniteGuard
from .placement import Placement
from .resuming import WITHOUT_IT
from .task import Task

logger = logging.getLogger(__name__)

for name in ("lightning.pytorch", "lightning.fabric"):  # their banners about devices, processes and tips
    logging.getLogger(name).setLevel(logging.WARNING)


@dataclass(frozen=True)
class Engine:
    """A Trainer, and those of its callbacks that know something afterwards."""

    trainer: L.Trainer
    record: RunRecord
    kept: KeptWeights


def seed_generators_of_all(seed: int) -> None:
    """Seed Python's, NumPy's and torch's generators."""
    L.seed_everything(seed, verbose=False)


def make_engine(
    recipe: Recipe,
    run: RunFolder,
    placement: Placement,
    precision: str,
    parts: int,
    loggers: list[Logger],
    seconds_before: float,
) -> Engine:
    training = recipe.training
    files = WholeFiles()
    guard = NonFiniteGuard(run.diverged, run.last_checkpoint, precision)
    last = LastCheckpoint(run, training.checkpoint_seconds, files, guard)
    waiting = DataStalls()
    record = RunRecord(run.metrics, last, waiting, seconds_before)
    kept = KeptWeights(run.kept_weights, training)
    averages = [ExponentialMovingAverage(training.ema_decay)] if training.ema_decay else []
    progress = [TrainingProgress(record)] if logger.isEnabledFor(logging.INFO) and processes.is_first() else []
    gathered = GatheredWeights(run.kept_weights, training)
    # In this order: the best weights are written before the averaged ones are taken out again; what is saved is
    # averaged, recorded and looked at before; training waits for images when all of that is done.
    callbacks: list[Callback] = [kept, *averages, gathered, record, guard, last, *progress, waiting]
    trainer = L.Trainer(
        max_epochs=recipe.schedule.epochs,
        accelerator="gpu" if placement.device == "cuda" else "cpu",
        devices=placement.devices,
        num_nodes=placement.nodes,
        strategy=make_strategy(placement),
        sync_batchnorm=placement.device == "cuda" and placement.world_size > 1,
        accumulate_grad_batches=parts,
        gradient_clip_val=training.clip_norm,
        callbacks=callbacks,
        plugins=[files, *precision_plugins(precision, placement.device), *environment_plugins()],
        precision=None if precision == "fp16" and placement.device == "cpu" else LIGHTNING_NAMES[precision],  # type: ignore[arg-type]
        logger=loggers,
        default_root_dir=run.path,
        num_sanity_val_steps=0,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    return Engine(trainer, record, kept)


def make_strategy(placement: Placement) -> Strategy | str:
    if placement.strategy == "ddp":  # our own way keeps BatchNorms equal, and validation may be uneven
        return DDPStrategy(broadcast_buffers=False, gradient_as_bucket_view=True)
    if placement.strategy == "fsdp":
        return ModelParallelStrategy(placement.world_size, tensor_parallel_size=1, save_distributed_checkpoint=False)
    return "auto"


def precision_plugins(precision: str, device: str) -> list[Any]:
    """Return fp16 with loss scaling for a CPU, which Lightning replaces by bf16 otherwise."""
    if precision == "fp16" and device == "cpu":
        return [MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu"))]  # pyright: ignore[reportArgumentType]
    return []


def environment_plugins() -> list[Any]:
    """Return SLURM's environment without Lightning's requeueing, which saves and names checkpoints its own way."""
    return [SLURMEnvironment(auto_requeue=False)] if processes.started_by_slurm() else []


def fit(trainer: L.Trainer, task: Task, run: RunFolder, start: Path | None) -> None:
    """Train to the end, from a checkpoint where one is given; raises Interrupted when interrupted."""
    if torch.cuda.is_initialized():
        torch.cuda.reset_peak_memory_stats()  # what was measured before is no part of the training
    with warnings.catch_warnings():
        # Our decisions: small sets load in the main process, an epoch may have few steps, batches begin where we say.
        warnings.filterwarnings("ignore", ".*does not have many workers.*")
        warnings.filterwarnings("ignore", ".*The number of training batches.*")
        warnings.filterwarnings("ignore", ".*LeafSpec.*")  # Lightning's own use of torch's pytrees
        warnings.filterwarnings("ignore", ".*in eval mode at the start of training.*")  # frozen BatchNorms
        warnings.filterwarnings("ignore", ".*your dataloader is not resumable.*")
        warnings.filterwarnings("ignore", ".*`broadcast_buffers` is deprecated.*")  # its successor is newer than 2.10
        try:
            with ending_together():
                trainer.fit(task, ckpt_path=start, weights_only=True)
        except SystemExit as error:  # Lightning turns Ctrl-C into exit(1)
            raise Interrupted(run.path) from error
        except Exception as error:
            if not isinstance(error, Interrupted):
                end_started_processes(trainer)
            if isinstance(error, UserError | Interrupted):
                raise
            if is_out_of_shared_memory(error):  # torch tells of a loading process's end wherever this one is
                raise UserError(OUT_OF_SHARED_MEMORY) from error
            if died := endings.of_loading(error):
                raise UserError(f"{died}; fewer data.workers may help, 0 are none; go on with --resume") from error
            if is_out_of_memory(error):
                raise UserError(out_of_memory(trainer, task.recipe)) from error
            if start is None or trainer.train_dataloader is not None:  # then it is no longer being restored
                raise
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise UserError(f"{start} cannot be gone on from ({reason}); {WITHOUT_IT}") from error
    if trainer.interrupted:
        raise Interrupted(run.path)


def end_started_processes(trainer: L.Trainer) -> None:
    """End the processes that Lightning has started: they would wait for this one, which has failed."""
    launcher: Any = trainer.strategy.launcher
    if started := getattr(launcher, "procs", None):
        launcher.kill(signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
        started.clear()  # else the one who watches them ends this process too


def out_of_memory(trainer: L.Trainer, recipe: Recipe) -> str:
    parts = trainer.accumulate_grad_batches
    images = recipe.training.batch_size // (trainer.world_size * parts)
    return out_of_memory_message(images, recipe.data.image_size, parts, trainer.strategy.root_device.type)
