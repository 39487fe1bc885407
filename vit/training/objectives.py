"""What a step makes small, and what an epoch is scored by: the loss of a batch as its logits or the model itself tell.

B images. A step is (model, images, targets) -> the loss, and what the scores are counted from.
"""

from collections.abc import Callable

import numpy as np
from torch import Tensor, nn

from ..models.interface import takes_targets
from ..recipe import Training
from .loss import Loss
from .scores import TrainingScores, ValidationScores, make_sums

Step = Callable[[nn.Module, Tensor, Tensor], tuple[Tensor, Tensor]]


class Objective(nn.Module):
    """A loss on a model's logits; its class weights move with it."""

    def __init__(self, loss: Loss):
        super().__init__()
        self.loss = loss

    def forward(self, model: nn.Module, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        logits = model(images).float()
        return self.loss(logits, targets), logits

    def make_sums(self) -> tuple[TrainingScores, ValidationScores]:
        """Return what adds up the scores of training and of validation."""
        return make_sums(self.loss.num_classes, self.loss.multilabel)


class OwnObjective(Objective):
    """The loss that a model makes itself of its images and of the targets that it is told."""

    def forward(self, model: nn.Module, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        return model(images, targets)


def objective_of(module: nn.Module, training: Training, num_classes: int, labels: np.ndarray) -> Objective:
    """Return what a module learns by, from images with labels [N] or [N, num_classes]."""
    kind = OwnObjective if takes_targets(module) else Objective
    return kind(Loss(training, num_classes, labels))
