"""What a model says of itself, so that nobody guesses from names: its family, its blocks, its head.

A module says it by a method `structure`; those of timm are described here from what timm's own methods tell, and any
other by its last linear layer alone. Whatever freezes, decays, adapts, divides or draws a model asks here.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

Family = Literal["vit", "cnn"]
NUMBERED = re.compile(r"(?:\w+\.)*blocks\.\d+|layer\d+\.\d+")  # the blocks of timm's trunks
BEHIND_THE_TRUNK = ("head", "attn_pool", "fc", "classifier", "global_pool")  # where timm pools, by attention too
TOKENS = ("_token", "pos_embed")  # learned, but no weights of a linear map


@dataclass(frozen=True)
class Structure:
    """What a module is made of, by the names of its parts, from the input to the output.

    `family` is "vit" for a trunk of tokens, whatever mixes them, and "cnn" for one of feature maps. `blocks` are the
    repeated modules of the trunk; `behind_blocks` those between the last block and the head, which learn with it;
    `heads` give the logits. `undecayed` names parameters that are no weights of a linear map or a convolution though
    they have several dimensions: tokens, positions, tables of biases.
    """

    family: Family
    heads: tuple[str, ...]
    blocks: tuple[str, ...] = ()
    behind_blocks: tuple[str, ...] = ()
    undecayed: frozenset[str] = field(default_factory=frozenset)


@runtime_checkable
class Described(Protocol):
    """A module that says what it is made of."""

    def structure(self) -> Structure:
        """Return what the module is made of."""
        ...


@runtime_checkable
class Classifier(Described, Protocol):
    """One whose trunk and head can be asked one by one, too."""

    def features(self, images: Tensor) -> Tensor:
        """Return what the head sees of images [B, 3, height, width]: [B, ...]."""
        ...

    def classify(self, features: Tensor) -> Tensor:
        """Return logits [B, num_classes]."""
        ...


def structure_of(module: nn.Module) -> Structure:
    """Return what a module is made of, as it says itself or as timm tells of it."""
    if isinstance(module, Described):
        return module.structure()
    if hasattr(module, "get_classifier"):
        return _of_timm(module)
    return Structure("cnn", tuple(name for name, part in module.named_modules() if isinstance(part, nn.Linear))[-1:])


def blocks_of(module: nn.Module) -> list[nn.Module]:
    """Return the blocks of a model's trunk, from the first to the last."""
    return [module.get_submodule(name) for name in structure_of(module).blocks]


def matrices_in_blocks(module: nn.Module) -> list[str]:
    """Return the names of the linear maps inside of a Transformer's blocks, which adapters go into."""
    structure = structure_of(module)
    if structure.family == "cnn":
        return []
    inside = tuple(f"{block}." for block in structure.blocks)
    return [name for name, part in module.named_modules() if isinstance(part, nn.Linear) and name.startswith(inside)]


def features_of(module: nn.Module, images: Tensor) -> Tensor:
    """Return what the head of a model, ours or timm's, sees of images: [B, ...]."""
    if isinstance(module, Classifier):
        return module.features(images)
    return module.forward_head(module.forward_features(images), pre_logits=True)  # pyright: ignore[reportCallIssue]


def takes_targets(module: nn.Module) -> bool:
    """Return whether a module learns by (images, targets) -> (loss, logits), and not by a loss on its logits."""
    return getattr(module, "takes_targets", False)


def device_of(module: nn.Module) -> torch.device:
    """Return where a module computes: where its parameters lie, and the CPU for one without any."""
    return next((parameter.device for parameter in module.parameters()), torch.device("cpu"))


def parameters_within(module: nn.Module, parts: tuple[str, ...]) -> list[str]:
    """Return the names of the parameters inside of some of a module's parts, in the module's order."""
    prefixes = tuple(f"{part}." for part in parts)
    return [name for name, _ in module.named_parameters() if name.startswith(prefixes)]


def _of_timm(module: nn.Module) -> Structure:
    told = module.no_weight_decay() if hasattr(module, "no_weight_decay") else ()  # pyright: ignore[reportCallIssue]
    tokens = {name for name, _ in module.named_parameters() if name.endswith(TOKENS)}
    return Structure(
        family="vit" if hasattr(module, "patch_embed") or any(_attention_in_trunk(module)) else "cnn",
        heads=tuple(_classifiers(module)),
        blocks=tuple(name for name, _ in module.named_modules() if NUMBERED.fullmatch(name)),
        behind_blocks=("norm", "fc_norm"),
        undecayed=frozenset(tokens | set(told)),  # pyright: ignore[reportArgumentType]
    )


def _classifiers(module: nn.Module) -> Iterator[str]:
    found = module.get_classifier()  # pyright: ignore[reportCallIssue]
    layers = found if isinstance(found, tuple) else (found,)
    yield from (name for name, part in module.named_modules() if any(part is layer for layer in layers))


def _attention_in_trunk(module: nn.Module) -> Iterator[bool]:
    """Yield for every attention of timm's whether it stands before the head: some CNNs pool by one, and stay CNNs."""
    for name, part in module.named_modules():
        if hasattr(part, "num_heads"):
            yield not name.startswith(BEHIND_THE_TRUNK)
