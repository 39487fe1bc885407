"""A model's parameters by depth: what layer-wise learning rates and partly frozen models count in."""

import re

from torch import nn

from . import head_names

BLOCK = re.compile(r"blocks\.(\d+)\.|layer(\d+)\.(\d+)\.")
BESIDE_THE_HEAD = ("norm.", "fc_norm.")  # the final norm learns with the last block


def parameters_by_layer(module: nn.Module) -> list[list[str]]:
    """Return the names of the parameters in groups from the input to the output: embedding or stem, every block, head.

    The grouping is timm's, for its models and for ours.
    """
    if hasattr(module, "group_matcher"):
        from timm.models import group_parameters

        groups = group_parameters(module, module.group_matcher(coarse=False))  # pyright: ignore[reportCallIssue]
        return [groups[key] for key in sorted(groups)]
    names = [name for name, _ in module.named_parameters()]
    blocks = sorted({block for block in map(_block, names) if block is not None})
    heads = tuple(f"{name}." for name in (*head_names(module), "pre_logits"))
    layers: list[list[str]] = [[] for _ in range(len(blocks) + 2)]
    for name in names:
        block = _block(name)
        if name.startswith(heads):
            layers[-1].append(name)
        elif block is not None:
            layers[1 + blocks.index(block)].append(name)
        else:
            layers[len(blocks) if name.startswith(BESIDE_THE_HEAD) else 0].append(name)
    return layers


def _block(name: str) -> tuple[int, ...] | None:
    match = BLOCK.match(name)
    return tuple(int(number) for number in match.groups() if number) if match else None
