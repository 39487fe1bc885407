"""The ways to explain an answer, what each of them answers, and which one a model gets when none is named.

Integrated gradients: any model has them, so that a Vision Transformer and a CNN are asked the same; and they found what
answers rest on where a transformer's attention and a CNN's last map did not (docs/explanations.md).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import UserError, nearest
from ..runtimes.exported import ExportedModule
from .attention_maps import (
    class_attention,
    gradient_weighted_attention,
    last_attention,
    rollout,
    with_class_queries,
)
from .cells import Grid
from .feature_maps import grad_cam, hirescam, last_map, layer_cam
from .pixel_maps import integrated_gradients, occlusion
from .token_trunks import TokenTrunk, attention_of, token_trunk

FLAT = 1e-9  # of its largest value: a map with less between its extremes says nothing
OF_TOKENS = "needs a Vision Transformer's tokens, and cannot follow those of this model"
OF_QUERIES = "needs a Vision Transformer whose head has a query a class (model.head=queries)"
OF_FEATURES = "needs a residual network's or a Vision Transformer's last map, and does not know where this model has it"


@dataclass(frozen=True)
class Method:
    """A way to make maps [B, rows, columns] of images for classes [B], and the question that they answer.

    `maps` raises UserError, with the reason, for a model that the method is not made for.
    """

    title: str
    answers: str
    of_a_class: bool
    maps: Callable[[nn.Module, Tensor, Tensor, Grid], Tensor]


def needing(
    find: Callable[[nn.Module], Any], reason: str, function: Callable[..., Tensor]
) -> Callable[[nn.Module, Tensor, Tensor, Grid], Tensor]:
    """Return a method that needs what `find` finds in a module, and refuses others with the reason."""

    def maps(module: nn.Module, images: Tensor, classes: Tensor, grid: Grid) -> Tensor:
        found = find(module)
        if found is None:
            raise UserError(reason)
        return function(module, found, images, classes)

    return maps


def with_gradients(module: nn.Module) -> nn.Module:
    """Return a module; raises UserError for one that has no gradients."""
    if isinstance(module, ExportedModule):
        raise UserError("needs gradients, and an exported file has none")
    return module


of_tokens = partial(needing, token_trunk, OF_TOKENS)
of_features = partial(needing, last_map, OF_FEATURES)
of_queries = partial(needing, with_class_queries, OF_QUERIES)
DEFAULT = "integrated_gradients"
OCCLUSION = "occlusion"
WHY = "why this class"
FLOW = "where information flowed, whatever the class"
METHODS: Mapping[str, Method] = {
    "integrated_gradients": Method(
        "integrated gradients",
        f"{WHY}: what each pixel adds to its logit on the way from the mean colour to the image",
        True,
        lambda module, images, classes, grid: integrated_gradients(with_gradients(module), images, classes),
    ),
    "occlusion": Method(
        "occlusion",
        f"{WHY}: what its logit loses where a square is covered by the mean colour",
        True,
        occlusion,
    ),
    "attention": Method(
        "gradient-weighted attention",
        f"{WHY}: attention, followed through all blocks, where it raises the class's logit",
        True,
        of_tokens(gradient_weighted_attention),
    ),
    "hirescam": Method(
        "HiResCAM",
        f"{WHY}: what each place of the last map adds to the class's logit",
        True,
        of_features(hirescam),
    ),
    "grad_cam": Method(
        "Grad-CAM", f"{WHY}: features of the last map, weighed by their mean gradients", True, of_features(grad_cam)
    ),
    "layer_cam": Method(
        "LayerCAM",
        f"{WHY}: features of the last map where they raise the class's logit, place by place",
        True,
        of_features(layer_cam),
    ),
    "class_attention": Method(
        "attention of the class's query",
        "where the query that answers for the class looks, in tokens that have told each other what they saw",
        True,
        of_queries(class_attention),
    ),
    "rollout": Method("attention rollout", f"{FLOW}: attention of all blocks, multiplied", False, of_tokens(rollout)),
    "last_attention": Method(
        "attention of the last block",
        f"{FLOW}: the mean of the last block's heads",
        False,
        of_tokens(lambda module, trunk, images, classes: last_attention(module, trunk, images).mean(1)),
    ),
}


def default_method(module: nn.Module) -> str:
    """Return the method for a model when none is named: an exported file has no gradients."""
    return OCCLUSION if isinstance(module, ExportedModule) else DEFAULT


def own_method(module: nn.Module, images: Tensor) -> str | None:
    """Return the method of a model's kind, by its attention or its last map; None where neither is known."""
    if trunk := token_trunk(module):
        return "attention" if _is_followed(module, trunk, images) else None
    if with_class_queries(module):
        return "class_attention"
    return "hirescam" if last_map(module) else None


def _is_followed(module: nn.Module, trunk: TokenTrunk, images: Tensor) -> bool:
    """Return whether a transformer's attention can be written down again."""
    try:
        return len(list(attention_of(module, trunk, images[:1]))) > 0
    except UserError:
        return False


def method_named(name: str) -> Method:
    """Return a method; raises UserError for one that does not exist."""
    if name not in METHODS:
        raise UserError(f"there is no method {name}{nearest(name, METHODS)} (allowed: {', '.join(METHODS)})")
    return METHODS[name]


def why_flat(values: Tensor, module: nn.Module) -> str | None:
    """Return why one map [rows, columns] says nothing, or None where it says something."""
    if not bool(torch.isfinite(values).all()):
        return "the model's gradients are not finite"
    low, high = float(values.min()), float(values.max())
    if high - low > FLAT * max(abs(low), abs(high)) and high != low:
        return None
    heads = [part for part in module.modules() if isinstance(part, nn.Linear)]
    if heads and not bool(heads[-1].weight.any()):
        return "the head's weights are zero: the model answers the same whatever it sees"
    if high == low == 0:
        return "nothing in the image raises this class's logit"
    return "every place counts the same"
