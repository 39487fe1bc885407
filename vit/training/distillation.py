"""Learning from another model beside the labels: it answers the same augmented images, and its answers are learned too.

Hinton et al. 2015, arXiv:1503.02531, for probabilities; Touvron et al. 2021 (DeiT), arXiv:2012.12877, for answers and
for the distillation token. B images, C classes.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..data.preprocessing import Preprocessing
from ..errors import UserError, listed
from ..hardware.precision import AUTOCAST_TYPES, resolve_precision
from ..model import Model, load
from ..models.vision_transformer import own_transformer
from ..recipe import Distillation
from .loss import Loss
from .objectives import ByLogits


class Teacher:
    """A model in evaluation mode that answers what another one sees, in half precision where that is faster."""

    def __init__(self, model: Model, student: Model, device: str):
        self.module = model.module.eval().requires_grad_(False).to(device)
        self.dtype = AUTOCAST_TYPES[resolve_precision("auto", device)[0]]
        self.order = torch.tensor([model.classes.index(name) for name in student.classes])
        self.factor, self.offset = between(student.preprocessing, model.preprocessing)
        self.image_size = model.preprocessing.image_size

    @torch.no_grad()
    def logits(self, images: Tensor) -> Tensor:
        """Return its logits [B, C], in float32, of a student's inputs [B, 3, height, width], in the student's order."""
        seen = images * self.factor.to(images) + self.offset.to(images)
        if seen.shape[2:] != self.image_size:
            seen = F.interpolate(seen, self.image_size, mode="bilinear", antialias=True)
        with torch.autocast(images.device.type, self.dtype, enabled=self.dtype is not None):
            logits = self.module(seen)
        return logits.float()[:, self.order.to(logits.device)]


class ByTeacher(ByLogits):
    """The labels' loss and a teacher's, by their weights; of a head each where a model has a distillation token."""

    def __init__(self, loss: Loss, settings: Distillation, teacher: Teacher):
        super().__init__(loss)
        self.settings = settings
        self.teacher = teacher  # no module of this one: its weights are not the run's

    def forward(self, model: nn.Module, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        of_labels, of_teacher = logits_of(model, images)
        taught = teacher_loss(of_teacher, self.teacher.logits(images), self.settings)
        weight = self.settings.weight
        loss = (1 - weight) * self.loss(of_labels, targets) + weight * taught
        return loss, (of_labels + of_teacher) / 2


def teacher_loss(logits: Tensor, teacher: Tensor, settings: Distillation) -> Tensor:
    """Return how far logits [B, C] are from a teacher's: the mean over images.

    `hard`: the cross-entropy with the teacher's answer. `soft`: KL(teacher, student) of both divided by the temperature
    T, times T^2, so that gradients do not shrink with it.
    """
    if settings.loss == "hard":
        return F.cross_entropy(logits, teacher.argmax(-1))
    t = settings.temperature
    ours, theirs = (logits / t).log_softmax(-1), (teacher / t).log_softmax(-1)
    return F.kl_div(ours, theirs, log_target=True, reduction="batchmean") * t**2


def logits_of(model: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return logits [B, C] that learn the labels and those that learn the teacher: of two heads, or the same."""
    transformer = own_transformer(model)
    if transformer is None or transformer.head_dist is None:
        logits = model(images).float()
        return logits, logits
    cls, dist = transformer.features(images).unbind(1)
    return transformer.head(cls).float(), transformer.head_dist(dist).float()


def read_teacher(settings: Distillation, student: Model, device: str) -> Teacher:
    """Return the teacher that a recipe names; raises UserError for one that cannot be read, or of other classes."""
    model: Any = load(settings.teacher)
    if student.output != "softmax" or model.output != "softmax":
        raise UserError("distillation is for one label an image, and here an image may have several")
    missing = [name for name in student.classes if name not in model.classes]
    if missing:
        raise UserError(
            "\n".join([f"distillation.teacher {settings.teacher} does not know these classes:", *listed(missing)])
        )
    return Teacher(model, student, device)


def between(student: Preprocessing, teacher: Preprocessing) -> tuple[Tensor, Tensor]:
    """Return factor and offset [3, 1, 1] that make a student's input a teacher's, whose mean and std may differ."""
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (student.mean, student.std))
    their_mean, their_std = (torch.tensor(values).view(3, 1, 1) for values in (teacher.mean, teacher.std))
    return std / their_std, (mean - their_mean) / their_std
