"""What an epoch's batches add up to: sums that any number of processes can put together."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

Total = Callable[[Tensor], Tensor]  # a process's sums -> those of all processes


class TrainingSums:
    """Loss and right answers of an epoch's training images, as mixed and augmented."""

    def __init__(self) -> None:
        self.sums = torch.zeros(2, dtype=torch.float64)  # of loss, of right answers
        self.images = 0

    def to(self, device: torch.device) -> None:
        self.sums = self.sums.to(device)

    def add(self, loss: Tensor, logits: Tensor, targets: Tensor) -> None:
        right = (logits.argmax(-1) == targets.argmax(-1)).sum()
        self.sums += torch.stack([loss.double() * len(logits), right.double()])
        self.images += len(logits)

    def state(self, total: Total) -> list[float]:
        """Return the sums over all processes: loss, right answers, images."""
        return total(torch.cat([self.sums, self.sums.new_tensor([self.images])])).tolist()

    def load(self, state: list[float]) -> None:
        self.sums, self.images = torch.tensor(state[:2], dtype=torch.float64), int(state[2])

    def close(self, total: Total) -> dict[str, float]:
        """Return the epoch's scores, and begin the next epoch."""
        loss, right, images = self.state(total)
        self.sums.zero_()
        self.images = 0
        return {"train_loss": loss / images, "train_top1": right / images}


class ValidationSums:
    """Cross-entropy, and the confusion matrix [true class, likeliest class], of the validation images."""

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes
        self.loss = torch.zeros(1, dtype=torch.float64)
        self.counts = torch.zeros(num_classes**2, dtype=torch.float64)
        self.confusion = torch.zeros(num_classes, num_classes)  # of the last time that was closed

    def to(self, device: torch.device) -> None:
        self.loss, self.counts = self.loss.to(device), self.counts.to(device)

    def add(self, logits: Tensor, labels: Tensor) -> None:
        self.loss += F.cross_entropy(logits, labels, reduction="sum").double()
        cells = labels * self.num_classes + logits.argmax(-1)
        self.counts.index_add_(0, cells, torch.ones_like(cells, dtype=torch.float64))

    def close(self, total: Total) -> dict[str, float]:
        """Return the scores, and begin anew; the balanced accuracy is the mean over the classes that occur."""
        self.confusion = total(self.counts).reshape(self.num_classes, self.num_classes).cpu().clone()
        right, images, loss = self.confusion.diagonal(), self.confusion.sum(1), float(total(self.loss))
        self.counts.zero_()
        self.loss.zero_()
        there = images > 0
        return {
            "validation_loss": loss / float(images.sum()),
            "validation_top1": float(right.sum() / images.sum()),
            "validation_balanced_accuracy": float((right[there] / images[there]).mean()),
        }
