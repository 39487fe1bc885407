"""What a step makes small, and what an epoch is scored by: the loss of a batch as its logits or the model itself tell.

B images. A step is (model, images, targets) -> the loss, and what the scores are counted from.
"""

from collections.abc import Callable

from torch import Tensor, nn

from .loss import Loss
from .scores import TrainingLosses, TrainingScores, ValidationLosses, ValidationScores, make_sums

Step = Callable[[nn.Module, Tensor, Tensor], tuple[Tensor, Tensor]]


class Objective(nn.Module):
    """What a step makes small, and how an epoch is scored."""

    def forward(self, model: nn.Module, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the loss that a model makes itself, and what the scores are counted from."""
        return model(images, targets)

    def make_sums(self) -> tuple[TrainingScores, ValidationScores]:
        """Return what adds up the scores of training and of validation."""
        raise NotImplementedError


class ByLogits(Objective):
    """A loss on a model's logits; its class weights move with it."""

    def __init__(self, loss: Loss):
        super().__init__()
        self.loss = loss

    def forward(self, model: nn.Module, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        logits = model(images).float()
        return self.loss(logits, targets), logits

    def make_sums(self) -> tuple[TrainingScores, ValidationScores]:
        return make_sums(self.loss.num_classes, self.loss.multilabel)


class ByLabelsInOrder(Objective):
    """The likelihood of label sets, which a model is told one after another."""

    def __init__(self, num_classes: int):
        super().__init__()
        self.num_classes = num_classes

    def make_sums(self) -> tuple[TrainingScores, ValidationScores]:
        return make_sums(self.num_classes, multilabel=True)


class WithoutLabels(Objective):
    """What a model makes of images alone."""

    def make_sums(self) -> tuple[TrainingScores, ValidationScores]:
        return TrainingLosses(), ValidationLosses()
