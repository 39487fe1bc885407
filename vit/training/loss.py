"""What a model learns to make small."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..data.sources.datasets import class_counts
from ..recipe import Training


class Loss(nn.Module):
    """Logits [B, C] and targets [B, C] in [0, 1] -> the mean over images.

    `cross_entropy` asks which class it is; `bce` asks of each class whether it is there, and takes the mean over
    classes too. Class weights have the mean 1 over the training images' labels, and a batch's mean divides by its
    images, not by their weights: parts of a batch then add up to the whole.
    """

    weights: Tensor | None

    def __init__(self, training: Training, num_classes: int, labels: np.ndarray):
        super().__init__()
        self.kind = training.loss
        self.smoothing = training.label_smoothing
        self.num_classes = num_classes
        self.multilabel = labels.ndim == 2
        weights = balanced_weights(labels, num_classes) if training.class_weights == "balanced" else None
        self.register_buffer("weights", weights, persistent=False)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        if self.kind == "cross_entropy":
            return F.cross_entropy(logits, targets, self.weights, label_smoothing=self.smoothing)
        targets = targets * (1 - self.smoothing) + self.smoothing / (2 if self.multilabel else self.num_classes)
        return F.binary_cross_entropy_with_logits(logits, targets, self.weights)


def balanced_weights(labels: np.ndarray, num_classes: int) -> Tensor:
    """Return N / (C n_c) for every class c, as scikit-learn's `balanced`: [C], of mean 1 over the N labels."""
    counts = class_counts(labels, num_classes)
    return torch.tensor(counts.sum() / (num_classes * counts), dtype=torch.float32)
