"""Maps from features and their gradients: what the last map of a network says of a class, place by place.

B images, C channels, a map of rows x columns. Of a residual network the map is the last stage's output; of a Vision
Transformer it is the patches that enter the last attention, behind which a head that sees the class token alone has no
gradient at any patch; or, where the head takes the patches' mean, what it takes the mean of. (Before the last norm
gradients times features would add up to zero at every place: a norm's answer does not depend on its input's scale.)
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..models.resnet import ResNet
from .hooks import hooked
from .token_trunks import TokenTrunk, token_trunk

SEEN_BY_THE_HEAD = ("mean", "cls_mean")  # pools that take patches too


@dataclass(frozen=True)
class LastMap:
    """The module whose output holds the last map, and that output as a map [B, C, rows, columns]."""

    part: nn.Module
    as_map: Callable[[Tensor, Tensor], Tensor]  # (output, images)


def last_map(module: nn.Module) -> LastMap | None:
    """Return where a module's last map is, or None where that is not known: others' networks but timm's ViTs."""
    if isinstance(module, ResNet):
        return LastMap(module.get_submodule(module.stages[-1]), lambda output, images: output)
    if trunk := token_trunk(module):
        part = trunk.norm if trunk.pool in SEEN_BY_THE_HEAD else trunk.before_last_attention
        if trunk.before_last_attention is None or part is None:
            return None
        return LastMap(part, lambda output, images: _as_map(trunk, output, images))
    return None


def hirescam(module: nn.Module, at: LastMap, images: Tensor, classes: Tensor) -> Tensor:
    """Return sum_k g_k F_k, place by place, signed: [B, rows, columns] (Draelos and Carin 2020, arXiv:2011.08891).

    Behind mean pooling and a linear head it sums to the class's logit less its bias.
    """
    features, gradients = _features_and_gradients(module, at, images, classes)
    return (features * gradients).sum(1)


def grad_cam(module: nn.Module, at: LastMap, images: Tensor, classes: Tensor) -> Tensor:
    """Return relu(sum_k mean(g_k) F_k): [B, rows, columns] (Selvaraju et al. 2017, arXiv:1610.02391)."""
    features, gradients = _features_and_gradients(module, at, images, classes)
    return (features * gradients.mean((2, 3), keepdim=True)).sum(1).relu()


def layer_cam(module: nn.Module, at: LastMap, images: Tensor, classes: Tensor) -> Tensor:
    """Return relu(sum_k relu(g_k) F_k), place by place: [B, rows, columns] (Jiang et al. 2021, TIP 30:5875)."""
    features, gradients = _features_and_gradients(module, at, images, classes)
    return (features * gradients.relu()).sum(1).relu()


def _features_and_gradients(module: nn.Module, at: LastMap, images: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
    """Return the last map and the gradients of the logits of `classes` [B] by it: [B, C, rows, columns] each."""
    kept: list[Tensor] = []
    with torch.enable_grad(), hooked([at.part], lambda part, arguments, output: kept.append(output)):
        logits = module(images.detach().requires_grad_())
        (slopes,) = torch.autograd.grad(logits.gather(1, classes[:, None]).sum(), kept)
    return at.as_map(kept[0].detach(), images), at.as_map(slopes, images)


def _as_map(trunk: TokenTrunk, tokens: Tensor, images: Tensor) -> Tensor:
    return trunk.on_grid(tokens.transpose(1, 2), images)
