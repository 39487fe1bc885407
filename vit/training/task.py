"""How a model learns: one LightningModule around any nn.Module from images to logits."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import lightning as L
import torch
from lightning.pytorch.strategies import ModelParallelStrategy
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ..data.loading.loaders import Loaders
from ..data.loading.order import Position
from ..hardware.processes import Share
from ..randomness import derive_seed
from ..recipe import Recipe
from .objectives import Objective
from .optim import make_optimizer, make_schedule
from .sharding import average_statistics, shard
from .tuning import keep_frozen_statistics

PrepareBatch = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


class Task(L.LightningModule):
    """An objective of a model, with the recipe's optimizer and schedule, from any step on.

    `prepare_batch` turns a loader's uint8 images [B, 3, H, W] and labels [B] or [B, num_classes], on the device,
    into the model's input and targets [B, num_classes].
    """

    def __init__(
        self,
        model: nn.Module,
        recipe: Recipe,
        objective: Objective,
        loaders: Loaders,
        prepare_batch: PrepareBatch,
        steps_per_epoch: int,
    ):
        super().__init__()
        self.model = model
        self.recipe = recipe
        self.objective = objective
        self.loaders = loaders
        self.prepare_batch = prepare_batch
        self.steps_per_epoch = steps_per_epoch
        self.position = Position()  # where the first batch of this process lies
        self.sums, self.validation_sums = objective.make_sums()
        self.scores: dict[str, float] = {}  # of the last epoch: {train,validation}_{loss,top1}, ...

    @property
    def share(self) -> Share:
        return Share(self.trainer.global_rank, self.trainer.world_size)

    def train(self, mode: bool = True) -> "Task":
        super().train(mode)
        keep_frozen_statistics(self.model)
        return self

    def configure_model(self) -> None:
        if isinstance(self.trainer.strategy, ModelParallelStrategy):
            shard(self.model, self.trainer.strategy.device_mesh["data_parallel"])

    def train_dataloader(self) -> DataLoader:
        return self.loaders.training(
            self.trainer.accumulate_grad_batches, self.share, self.position, self.trainer.strategy.root_device
        )

    def val_dataloader(self) -> DataLoader:
        return self.loaders.validation(self.share, self.trainer.strategy.root_device)

    def on_train_start(self) -> None:
        self.sums.to(self.device)
        self.validation_sums.to(self.device)

    def on_train_batch_start(self, batch, batch_idx: int) -> None:
        # Mixing, drop-path and dropout then depend on seed, batch and process alone.
        number = self.trainer.current_epoch * int(self.trainer.num_training_batches) + batch_idx
        ranks = [self.share.rank] if self.share.rank else []
        seed_generators(derive_seed(self.recipe.training.seed, "step", number, *ranks))

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        images, targets = self.prepare_batch(*batch)
        loss, logits = self.objective(self.model, images, targets)
        self.sums.add(loss.detach(), logits.detach(), targets)
        return loss

    def on_train_batch_end(self, outputs, batch, batch_idx: int) -> None:
        if self.trainer.is_last_batch:
            self.scores |= self.sums.close(self._total)
            optimizer: Any = self.trainer.optimizers[0]
            if hasattr(optimizer, "sync_lookahead"):  # the slow weights are the ones that count
                optimizer.sync_lookahead()

    def on_before_optimizer_step(self, optimizer) -> None:
        average_statistics(self.model, self.trainer)

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        images, labels = batch
        self.validation_sums.add(self.model(images).float(), labels)

    def on_validation_epoch_end(self) -> None:
        self.scores |= self.validation_sums.close(self._total)

    def configure_gradient_clipping(self, optimizer, gradient_clip_val=None, gradient_clip_algorithm=None) -> None:
        # Lightning's own refuses every fused optimizer under autocast, scaled gradients or not.
        if gradient_clip_val is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), gradient_clip_val)

    def configure_optimizers(self):
        recipe = self.recipe
        scaled_gradients = getattr(self.trainer.precision_plugin, "scaler", None) is not None
        optimizer = make_optimizer(self.model, recipe.optimizer, scaled_gradients)
        # Not from the trainer: it would ask for the training batches before a checkpoint says where they begin.
        schedule = make_schedule(optimizer, recipe.optimizer.lr, recipe.schedule, self.steps_per_epoch)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        loop: Any = self.trainer.fit_loop
        epoch = loop.epoch_progress.current.processed
        within = epoch == loop.epoch_progress.current.completed  # else the epoch is whole, and its end is saved
        batch = loop.epoch_loop.batch_progress.current.processed if within else 0
        checkpoint["position"] = asdict(Position(epoch, batch))
        checkpoint["parts"] = self.trainer.accumulate_grad_batches  # of a step, in which the position counts
        checkpoint["sums"] = self.sums.state(self._total)
        checkpoint["scores"] = self.scores

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        self.position = Position(**checkpoint["position"])
        self.scores = checkpoint["scores"]
        if self.share.rank == 0:
            self.sums.load(checkpoint["sums"])

    def _total(self, values: Tensor) -> Tensor:
        """Return the sum over all processes."""
        return self.trainer.strategy.reduce(values.clone(), reduce_op="sum")


def seed_generators(seed: int) -> None:
    """Seed the processor's and any used GPU's generator; torch.manual_seed takes 0.1 ms where none is in use."""
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)
