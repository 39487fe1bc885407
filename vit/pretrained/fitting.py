"""Weights into a model: every tensor in its place, or a message that names the one that is not."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .. import models
from ..errors import UserError
from ..models.interface import structure_of
from ..registry import MODELS, complete_options
from ..registry.table import REQUIRED, Lazy
from .bounds import Bounded
from .start import Start
from .weights import Weights

REPRESENTATION = "pre_logits."  # belongs to the head that it was trained with
ATTENTION = ".se."  # the slot of a residual block; a trunk without it may start an attention of its own
# What a recipe may change without making another model of the weights.
CHANGEABLE = {
    "drop_path",
    "patch_dropout",
    "position_std",
    "patch_size",
    "pool",
    "head",
    "label_paths",
    "most_labels",
    "representation_size",
}


def options_for(name: str, given: dict[str, Any], weights: Weights) -> dict[str, Any]:
    """Return the options of the model `name` that takes the weights: theirs, with what is given or preset over them.

    Raises UserError where the model is of another kind, or where an option contradicts the weights.
    """
    if name.startswith("timm/"):
        theirs = weights.timm_name or weights.architecture
        if theirs.partition(".")[0] != name.partition(".")[0]:
            raise UserError(f"{weights.source} ({weights.family}) was not trained as {name}; {advice(weights)}")
        return (weights.options if weights.architecture.startswith("timm/") else {}) | given
    if weights.architecture.startswith("timm/"):
        raise UserError(f"{weights.source} holds weights of {weights.architecture}: name that model, not {name}")
    _check_kind(name, weights)
    facts = complete_options(weights.architecture, weights.options)
    preset = dict(getattr(MODELS[name], "preset", {}))
    wanted = {key: value for key, value in (preset | given).items() if value != facts.get(key)}
    fresh = {"attention"} if facts.get("attention") == "none" else set()
    wrong = {key: value for key, value in wanted.items() if key not in CHANGEABLE | fresh}
    if wrong:
        lines = [
            f"  model.{key}: {value!r} in the recipe, {facts.get(key)!r} in the weights" for key, value in wrong.items()
        ]
        raise UserError(
            "\n".join([f"{weights.source} ({weights.family}) does not fit {name}:", *lines, advice(weights)])
        )
    return facts | wanted


def as_recipe(weights: Weights) -> tuple[str, dict[str, Any]]:
    """Return the name and the options, without the usual ones, by which a recipe names the weights' model."""
    if weights.architecture not in MODELS:
        return weights.architecture, weights.options
    facts = complete_options(weights.architecture, weights.options)
    alike = [name for name in MODELS if _kind(name) == _kind(weights.architecture)]
    shorter = {name: _unusual(name, facts) for name in alike}
    name = min(shorter, key=lambda name: len(shorter[name]))
    return name, shorter[name]


def advice(weights: Weights) -> str:
    """Return which model of ours the weights are for."""
    name, options = as_recipe(weights)
    return f"these weights are for model.name={name}" + "".join(f" model.{k}={v}" for k, v in options.items())


def _unusual(name: str, facts: dict[str, Any]) -> dict[str, Any]:
    usual = complete_options(name, {})
    return {key: value for key, value in facts.items() if usual.get(key, REQUIRED) != value}


def built(
    weights: Weights, name: str, num_classes: int, image_size: tuple[int, int], options: dict[str, Any]
) -> nn.Module:
    """Return the model that is to take the weights, with values to be replaced.

    Raises UserError for options that make no model, or a larger one than the weights are of.
    """
    try:
        with Bounded(weights.tensors, weights.source):
            return models.build(name, num_classes=num_classes, image_size=image_size, **options)
    except (ArithmeticError, MemoryError, RuntimeError, TypeError) as error:  # numbers that no tensor can have
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{weights.source}: no {name} can be built of its options ({reason})") from error


def load_into(module: nn.Module, weights: Weights, new_head: bool, classes: Sequence[str] | None = None) -> Start:
    """Put the weights into a module, and return what it begins with.

    A module on the meta device gets the tensors themselves, any other one copies. `new_head` leaves the module's head
    as it is. Raises UserError, with the names, for any tensor that is missing, unexpected or of another shape, and for
    a head of other classes without that leave.
    """
    own = module.state_dict()
    heads = {name for name in own if name.startswith(head_prefixes(module))}
    if weights.num_classes and not new_head:
        _check_head({name: own[name] for name in heads}, head_prefixes(module), weights, classes)
        heads = set()
    attention = (
        {name for name in own if ATTENTION in name} if not any(ATTENTION in n for n in weights.tensors) else set()
    )
    counts = {name for name in own if name.endswith("num_batches_tracked")}  # which older files lack, and nothing needs
    fresh = heads | attention | counts
    left = head_prefixes(module) if heads else ()
    taken = {
        name: tensor
        for name, tensor in weights.tensors.items()
        if not name.startswith(left) and not (heads and name.startswith(REPRESENTATION) and name not in own)
    }
    wrong = [f"missing {name}" for name in own if name not in taken and name not in fresh]
    wrong += [f"unexpected {name}" for name in taken if name not in own]
    wrong += [
        f"{name} is {list(taken[name].shape)}, not {list(own[name].shape)}"
        for name in own
        if name in taken and taken[name].shape != own[name].shape
    ]
    if wrong:
        shown = "; ".join(wrong[:5]) + (f"; and {len(wrong) - 5} more" if len(wrong) > 5 else "")
        raise UserError(f"{weights.source} ({weights.family}) does not fit the model: {shown}")
    _check_numbers(taken, own, weights.source)
    assign(module, {name: tensor.to(own[name].dtype) for name, tensor in taken.items()})
    return Start(
        pretrained=weights.source,
        family=weights.family,
        notes=weights.notes,
        fresh_parts=tuple(sorted(attention)),
        new_head=bool(heads),
        replaced_classes=weights.num_classes,
    )


def _check_numbers(taken: dict[str, Tensor], own: dict[str, Tensor], source: str) -> None:
    """Raise UserError for weights that are no numbers, or whole ones where the model computes with others."""
    whole = [name for name, tensor in taken.items() if own[name].is_floating_point() != tensor.is_floating_point()]
    # A sum is no number where one of its parts is none; a sum that is too large is looked at again.
    floats = [name for name, tensor in taken.items() if tensor.is_floating_point() and not tensor.sum().isfinite()]
    broken = [name for name in floats if not taken[name].isfinite().all()]
    wrong = [f"{name} is of {str(taken[name].dtype).removeprefix('torch.')}" for name in whole]
    wrong += [f"{name} holds NaN or infinity" for name in broken]
    if wrong:
        more = f"; and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise UserError(
            f"{source} holds weights that are none: {'; '.join(wrong[:5])}{more}\n"
            "its training diverged or the file is damaged: take an earlier checkpoint, or fetch it again"
        )


def assign(module: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Copy tensors into a module, or let one that has no memory yet take them; its other buffers are zeros then."""
    without_memory = any(tensor.is_meta for tensor in module.state_dict().values())
    module.load_state_dict(tensors, strict=False, assign=without_memory)
    for part in module.modules():
        for name, buffer in part.named_buffers(recurse=False):
            if buffer.is_meta:
                setattr(part, name, torch.zeros_like(buffer, device="cpu"))


def _check_kind(name: str, weights: Weights) -> None:
    if name not in MODELS:
        raise UserError(f"there is no model {name} (see `vit models`)")
    if _kind(name) != _kind(weights.architecture):
        raise UserError(f"{weights.source} ({weights.family}) does not fit {name}: {advice(weights)}")


def _kind(name: str) -> str:
    entry = MODELS[name]
    return entry.name if isinstance(entry, Lazy) else name


def head_prefixes(module: nn.Module) -> tuple[str, ...]:
    return tuple(f"{name}." for name in structure_of(module).heads)


def _check_head(
    own: dict[str, Tensor], prefixes: tuple[str, ...], weights: Weights, classes: Sequence[str] | None
) -> None:
    leave = "give leave to replace it: model.new_head=true (in Python new_head=True)"
    if kinds := own.keys() ^ {name for name in weights.tensors if name.startswith(prefixes)}:
        raise UserError(f"{weights.source} has a head of another kind than the model ({min(kinds)}); {leave}")
    last = [f"{prefix}{part}" for prefix in prefixes for part in ("weight", "bias", "steps")]
    count = max((len(own[name]) for name in last if name in own), default=max(map(len, own.values()), default=0))
    if count != weights.num_classes:
        raise UserError(f"{weights.source} has a head of {weights.num_classes} classes, the model {count}; {leave}")
    if classes and weights.classes and tuple(classes) != weights.classes:
        ours, theirs = ", ".join(classes[:3]), ", ".join(weights.classes[:3])
        raise UserError(f"{weights.source} knows the classes {theirs}, ..., the data has {ours}, ...; {leave}")
