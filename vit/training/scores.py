"""What an epoch's batches add up to: sums that any number of processes can put together."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

# Not torchmetrics': its macro averages count a class that is named but does not occur as 0, ours leave it out; and a
# checkpoint holds float64 sums over all processes, from which another number of them goes on.
Total = Callable[[Tensor], Tensor]  # a process's sums -> those of all processes


WORDS = {"top1": "top-1", "macro_f1": "macro F1", "loss": "loss"}  # of the score that stands for an epoch


def main_score(scores: dict[str, float]) -> str:
    """Return which of WORDS an epoch's scores hold."""
    return next(name for name in WORDS if f"validation_{name}" in scores)


def in_words(score: str, value: float, digits: int = 2) -> str:
    """Return a value of one of WORDS as a reader takes it."""
    return f"{value:.4f}" if score == "loss" else f"{value:.{digits}%}"


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


class LabelSums:
    """Of every class: images that have it, images said to have it (above 1/2), and both; and the sum of the losses."""

    def __init__(self, num_classes: int) -> None:
        self.sums = torch.zeros(2 + 3 * num_classes, dtype=torch.float64)  # loss, images, and three for every class

    def to(self, device: torch.device) -> None:
        self.sums = self.sums.to(device)

    def add_batch(self, loss: Tensor, logits: Tensor, targets: Tensor) -> None:
        """Add a batch by its mean loss; a mixed target counts where it is above 1/2."""
        there, said = targets > 0.5, logits > 0
        counts = torch.cat([there.sum(0), said.sum(0), (there & said).sum(0)])
        head = torch.stack([loss.double() * len(logits), loss.new_tensor(len(logits)).double()])
        self.sums += torch.cat([head, counts.double()])

    def state(self, total: Total) -> list[float]:
        return total(self.sums).tolist()

    def load(self, state: list[float]) -> None:
        self.sums = torch.tensor(state, dtype=torch.float64)

    def take(self, total: Total) -> dict[str, float]:
        """Return loss and F1, of all decisions and as the mean over the classes that occur, and begin anew."""
        loss, images, *counts = self.state(total)
        self.sums.zero_()
        there, said, both = torch.tensor(counts, dtype=torch.float64).reshape(3, -1)
        f1 = (2 * both / (there + said).clamp(min=1))[there > 0]
        micro = 2 * both.sum() / (there.sum() + said.sum()).clamp(min=1)
        return {"loss": loss / images, "micro_f1": float(micro), "macro_f1": float(f1.mean()) if len(f1) else 0.0}


class TrainingLabelSums(LabelSums):
    """Those of an epoch's training images, as mixed and augmented."""

    def add(self, loss: Tensor, logits: Tensor, targets: Tensor) -> None:
        self.add_batch(loss, logits, targets)

    def close(self, total: Total) -> dict[str, float]:
        return {f"train_{name}": value for name, value in self.take(total).items()}


class ValidationLabelSums(LabelSums):
    """Those of the validation images; the loss is the mean over images and classes."""

    confusion = None

    def add(self, logits: Tensor, labels: Tensor) -> None:
        self.add_batch(F.binary_cross_entropy_with_logits(logits, labels), logits, labels)

    def close(self, total: Total) -> dict[str, float]:
        return {f"validation_{name}": value for name, value in self.take(total).items()}


class LossSums:
    """The mean loss of images, where nothing else is known of them."""

    confusion = None

    def __init__(self) -> None:
        self.sums = torch.zeros(2, dtype=torch.float64)  # of losses, of images

    def to(self, device: torch.device) -> None:
        self.sums = self.sums.to(device)

    def add_losses(self, losses: Tensor) -> None:
        """Add each image's loss [B]."""
        self.sums += torch.stack([losses.double().sum(), losses.new_tensor(len(losses)).double()])

    def state(self, total: Total) -> list[float]:
        return total(self.sums).tolist()

    def load(self, state: list[float]) -> None:
        self.sums = torch.tensor(state, dtype=torch.float64)

    def take(self, total: Total) -> float:
        """Return the mean, and begin anew."""
        losses, images = self.state(total)
        self.sums.zero_()
        return losses / images


class TrainingLosses(LossSums):
    """Those of an epoch's training images."""

    def add(self, loss: Tensor, losses: Tensor, targets: Tensor) -> None:
        self.add_losses(losses)

    def close(self, total: Total) -> dict[str, float]:
        return {"train_loss": self.take(total)}


class ValidationLosses(LossSums):
    """Those of the validation images."""

    def add(self, losses: Tensor, labels: Tensor) -> None:
        self.add_losses(losses)

    def close(self, total: Total) -> dict[str, float]:
        return {"validation_loss": self.take(total)}


TrainingScores = TrainingSums | TrainingLabelSums | TrainingLosses
ValidationScores = ValidationSums | ValidationLabelSums | ValidationLosses


def make_sums(num_classes: int, multilabel: bool) -> tuple[TrainingScores, ValidationScores]:
    """Return what adds up the scores of training and of validation."""
    if multilabel:
        return TrainingLabelSums(num_classes), ValidationLabelSums(num_classes)
    return TrainingSums(), ValidationSums(num_classes)
