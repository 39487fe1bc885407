"""How a batch is mixed: MixUp (arXiv:1710.09412) and CutMix (arXiv:1905.04899), in torchvision's implementation."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms import v2

from ...recipe import Mixing

Mix = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def as_targets(labels: Tensor, num_classes: int) -> Tensor:
    """Return class numbers [B], or rows [B, C] of what is there, as targets [B, C] in [0, 1]."""
    return labels.float() if labels.ndim == 2 else F.one_hot(labels, num_classes).float()


def make_mixing(mixing: Mixing, num_classes: int) -> Mix:
    """Return the function (images [B, 3, H, W], labels [B] or [B, num_classes]) -> (images, targets [B, num_classes]).

    With both kinds on, one of them is drawn for every batch. It draws from torch's global generator.
    """
    kinds: list[v2.Transform] = []
    if mixing.mixup:
        kinds.append(v2.MixUp(alpha=mixing.mixup, num_classes=num_classes))
    if mixing.cutmix:
        kinds.append(v2.CutMix(alpha=mixing.cutmix, num_classes=num_classes))
    choice = v2.RandomChoice(kinds) if kinds else None

    def mix(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        if choice is None or torch.rand(()).item() >= mixing.probability:
            return images, as_targets(labels, num_classes)
        return choice(images, labels)

    return mix
