"""A model's parameters by depth: what layer-wise learning rates and partly frozen models count in."""

import re

from torch import nn

from . import head_names

BLOCK = re.compile(r"blocks\.(\d+)\.|layer(\d+)\.(\d+)\.")
BESIDE_THE_HEAD = ("norm.", "fc_norm.")  # the final norm learns with the last block


def parameters_by_layer(module: nn.Module) -> list[list[str]]:
    """Return the names of the parameters in groups from the input to the output: embedding or stem, every block, head.

    The blocks of timm's models are counted as timm does. A module that is a head alone is one group.
    """
    prefixes = tuple(f"{name}." for name in (*head_names(module), "pre_logits"))
    names = [name for name, _ in module.named_parameters()]
    head = [name for name in names if name.startswith(prefixes)]
    trunk = _of_timm(module) if hasattr(module, "group_matcher") else _of_ours(names)
    layers = [[name for name in layer if name not in head] for layer in trunk]
    return [layer for layer in (*layers, head) if layer]


def blocks(module: nn.Module) -> list[nn.Module]:
    """Return the blocks of a Transformer's or residual network's trunk, from the first to the last."""
    return [part for name, part in module.named_modules() if BLOCK.fullmatch(f"{name}.")]


def _of_timm(module: nn.Module) -> list[list[str]]:
    from timm.models import group_parameters

    groups = group_parameters(module, module.group_matcher(coarse=False))  # pyright: ignore[reportCallIssue]
    return [groups[key] for key in sorted(groups)]


def _of_ours(names: list[str]) -> list[list[str]]:
    blocks = sorted({block for block in map(_block, names) if block is not None})
    layers: list[list[str]] = [[] for _ in range(len(blocks) + 1)]
    for name in names:
        block = _block(name)
        if block is not None:
            layers[1 + blocks.index(block)].append(name)
        else:
            layers[len(blocks) if name.startswith(BESIDE_THE_HEAD) else 0].append(name)
    return layers


def _block(name: str) -> tuple[int, ...] | None:
    match = BLOCK.match(name)
    return tuple(int(number) for number in match.groups() if number) if match else None
