"""How a batch is mixed: MixUp (arXiv:1710.09412) and CutMix (arXiv:1905.04899), in torchvision's implementation."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms import v2

from ..recipe import Mixing

Mix = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def make_mixing(mixing: Mixing, num_classes: int) -> Mix:
    """Return the function (images [B, 3, H, W], labels [B]) -> (images, targets [B, num_classes], rows summing to 1).

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
            return images, F.one_hot(labels, num_classes).to(images.dtype)
        return choice(images, labels)

    return mix
