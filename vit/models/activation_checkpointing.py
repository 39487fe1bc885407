"""Less memory for more time: blocks keep their input alone and compute the rest again in the backward pass.

Chen et al. 2016, arXiv:1604.06174; otherwise called gradient or activation checkpointing.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from ..errors import UserError
from .resnet import ResNet
from .vision_transformer import VisionTransformer


def checkpoint_activations(module: nn.Module) -> None:
    """Let every block of a model compute its activations twice in training; results and names of weights stay the same.

    Raises UserError for a model without blocks of ours and without timm's way to do this.
    """
    if isinstance(module, VisionTransformer | ResNet):
        for name in module.stages if isinstance(module, ResNet) else ["blocks"]:
            setattr(module, name, CheckpointedBlocks(module.get_submodule(name)))
    else:
        _recompute_in_timm(module)
    for part in module.modules():
        if isinstance(part, _BatchNorm):
            part.register_forward_pre_hook(set_statistics_aside)
            part.register_forward_hook(put_statistics_back, always_call=True)  # recomputation ends by an exception


class CheckpointedBlocks(nn.Sequential):
    """The blocks of a sequence, each of which keeps its input alone for the backward pass."""

    def __init__(self, blocks: Any):
        super().__init__(*blocks)
        self.training = blocks.training

    def forward(self, x: Tensor, *rest: Any) -> Tensor:
        for block in self:  # a checkpoint draws the same random numbers again
            x = checkpoint(block, x, *rest, use_reentrant=False) if self.training else block(x, *rest)
        return x


def through_blocks(blocks: nn.Sequential, x: Tensor, mask: Tensor) -> Tensor:
    """Return what a Transformer's blocks make of tokens [B, N, D] that see each other as a mask allows."""
    if isinstance(blocks, CheckpointedBlocks):
        return blocks(x, mask)
    for block in blocks:
        x = block(x, mask)
    return x


def _recompute_in_timm(module: Any) -> None:
    name = type(module).__name__
    if not hasattr(module, "set_grad_checkpointing"):
        raise UserError(f"{name} cannot recompute its activations: that takes a model of `vit models` or of timm")
    try:
        module.set_grad_checkpointing(True)
    except (AssertionError, NotImplementedError) as error:
        raise UserError(f"timm's {name} cannot recompute its activations: {error}") from error


def set_statistics_aside(norm: nn.Module, inputs: object) -> None:
    """Give a BatchNorm that computes again copies of its statistics: it has learned from this batch before."""
    in_backward = torch._C._current_graph_task_id() != -1  # as torch.utils.module_tracker finds out
    if in_backward and "aside" not in norm.__dict__:
        norm.__dict__["aside"] = dict(norm.named_buffers(recurse=False))
        for name, buffer in norm.__dict__["aside"].items():
            setattr(norm, name, buffer.clone())


def put_statistics_back(norm: nn.Module, inputs: object, output: object) -> None:
    for name, buffer in norm.__dict__.pop("aside", {}).items():
        setattr(norm, name, buffer)
