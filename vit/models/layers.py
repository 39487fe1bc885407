"""A model's parameters by depth: what layer-wise learning rates and partly frozen models count in."""

from torch import nn

from .interface import parameters_within, structure_of


def parameters_by_layer(module: nn.Module) -> list[list[str]]:
    """Return the names of the parameters in groups from the input to the output: embedding or stem, every block, head.

    The layers of timm's models are counted as timm does. A module that is a head alone is one group.
    """
    heads = structure_of(module).heads
    head = parameters_within(module, (*heads, "pre_logits"))
    trunk = _of_timm(module) if hasattr(module, "group_matcher") else _of_ours(module)
    layers = [[name for name in layer if name not in head] for layer in trunk]
    return [layer for layer in (*layers, head) if layer]


def _of_timm(module: nn.Module) -> list[list[str]]:
    from timm.models import group_parameters

    groups = group_parameters(module, module.group_matcher(coarse=False))  # pyright: ignore[reportCallIssue]
    return [groups[key] for key in sorted(groups)]


def _of_ours(module: nn.Module) -> list[list[str]]:
    structure = structure_of(module)
    blocks = [parameters_within(module, (block,)) for block in structure.blocks]
    behind = parameters_within(module, structure.behind_blocks)
    inside = {name for block in blocks for name in block} | set(behind)
    before = [name for name, _ in module.named_parameters() if name not in inside]
    return [before, *blocks[:-1], *([*blocks[-1], *behind] for _ in blocks[-1:])]
