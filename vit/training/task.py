"""How a model learns: one LightningModule around any nn.Module from images to logits."""

from collections.abc import Callable

import lightning as L
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassAccuracy

from ..randomness import derive_seed
from ..recipe import Recipe
from .optim import make_optimizer, make_schedule
from .tuning import keep_frozen_statistics

PrepareBatch = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


class Classification(L.LightningModule):
    """Cross-entropy on a model's logits, with the recipe's optimizer and schedule.

    `prepare_batch` turns a loader's uint8 images [B, 3, H, W] and labels [B], on the device, into the model's input
    and targets [B, num_classes].
    """

    def __init__(self, model: nn.Module, recipe: Recipe, num_classes: int, prepare_batch: PrepareBatch):
        super().__init__()
        self.model = model
        self.recipe = recipe
        self.prepare_batch = prepare_batch
        self.train_loss = MeanMetric(nan_strategy="disable")  # a loss that is no number shows
        self.validation_loss = MeanMetric(nan_strategy="disable")
        accuracy = {"num_classes": num_classes, "average": "micro", "validate_args": False}
        self.train_top1, self.validation_top1 = MulticlassAccuracy(**accuracy), MulticlassAccuracy(**accuracy)
        self.scores: dict[str, float] = {}  # of the last epoch: {train,validation}_{loss,top1}

    def train(self, mode: bool = True) -> "Classification":
        super().train(mode)
        keep_frozen_statistics(self.model)
        return self

    def on_train_batch_start(self, batch, batch_idx: int) -> None:
        # Mixing, drop-path and dropout then depend on seed and step alone.
        seed_generators(derive_seed(self.recipe.training.seed, "step", self.global_step))

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        images, targets = self.prepare_batch(*batch)
        logits = self.model(images).float()
        loss = F.cross_entropy(logits, targets, label_smoothing=self.recipe.training.label_smoothing)
        self.train_loss.update(loss.detach(), len(images))
        self.train_top1.update(logits.detach(), targets.argmax(-1))
        return loss

    def on_train_batch_end(self, outputs, batch, batch_idx: int) -> None:
        if self.trainer.is_last_batch:
            self._close_epoch("train", self.train_loss, self.train_top1)

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        images, labels = batch
        logits = self.model(images).float()
        self.validation_loss.update(F.cross_entropy(logits, labels), len(images))
        self.validation_top1.update(logits, labels)

    def on_validation_epoch_end(self) -> None:
        self._close_epoch("validation", self.validation_loss, self.validation_top1)

    def configure_gradient_clipping(self, optimizer, gradient_clip_val=None, gradient_clip_algorithm=None) -> None:
        # Lightning's own refuses every fused optimizer under autocast, scaled gradients or not.
        if gradient_clip_val is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), gradient_clip_val)

    def configure_optimizers(self):
        recipe = self.recipe
        scaled_gradients = getattr(self.trainer.precision_plugin, "scaler", None) is not None
        optimizer = make_optimizer(self.model, recipe.optimizer, scaled_gradients)
        steps_per_epoch = int(self.trainer.estimated_stepping_batches) // recipe.schedule.epochs
        schedule = make_schedule(optimizer, recipe.optimizer.lr, recipe.schedule, steps_per_epoch)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _close_epoch(self, split: str, loss: MeanMetric, top1: MulticlassAccuracy) -> None:
        self.scores |= {f"{split}_loss": float(loss.compute()), f"{split}_top1": float(top1.compute())}
        loss.reset()
        top1.reset()


def seed_generators(seed: int) -> None:
    """Seed the processor's and any used GPU's generator; torch.manual_seed takes 0.1 ms where none is in use."""
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)
