"""Which parameters learn how fast: groups, optimizers, and the learning rate over the steps."""

from copy import deepcopy
from math import cos, pi
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from ..models.interface import structure_of
from ..models.layers import parameters_by_layer
from ..recipe import TIMM, Schedule
from ..recipe import Optimizer as OptimizerSettings
from . import timm_optimizers


def parameter_groups(module: nn.Module, settings: OptimizerSettings) -> list[dict]:
    """Split the learning parameters in two: matrices and kernels decay; biases, norms, tokens and positions do not.

    With `layer_decay` d < 1 each layer has two such groups, and its learning rate is lr * d^n where n layers stand
    between it and the logits (Clark et al. 2020, arXiv:2003.10555; for images Bao et al. 2021, arXiv:2106.08254).
    """
    learning = {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}
    layers = parameters_by_layer(module) if settings.layer_decay < 1 else [list(learning)]
    undecayed = structure_of(module).undecayed
    groups = []
    for depth, layer in enumerate(reversed(layers)):
        named = [(name, learning[name]) for name in layer if name in learning]
        plain = [p for name, p in named if p.ndim <= 1 or name in undecayed]
        decayed = [p for name, p in named if p.ndim > 1 and name not in undecayed]
        lr = settings.lr * settings.layer_decay**depth
        groups.append({"params": decayed, "weight_decay": settings.weight_decay, "lr": lr})
        groups.append({"params": plain, "weight_decay": 0.0, "lr": lr})
    return groups if settings.layer_decay == 1 else [group for group in groups if group["params"]]


def make_optimizer(module: nn.Module, settings: OptimizerSettings, scaled_gradients: bool = False) -> Optimizer:
    """Return the recipe's optimizer; a fused one would undo fp16's loss scaling by itself, behind the clipping."""
    groups = parameter_groups(module, settings)
    if settings.name.startswith(TIMM):
        return timm_optimizers.make([group for group in groups if group["params"]], settings)
    if settings.name == "adamw":
        return AdamW(groups, lr=settings.lr, betas=settings.betas, fused=not scaled_gradients)
    return DecoupledSGD(groups, lr=settings.lr, momentum=settings.momentum, nesterov=settings.momentum > 0)


def state_bytes(module: nn.Module, settings: OptimizerSettings, device: str) -> int:
    """Return the bytes that the optimizer remembers of a module, its moments say: from a step of a copy."""
    module = deepcopy(module).to(device)
    for parameter in module.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer = make_optimizer(module, settings)
    timm_optimizers.trial_step(optimizer)
    return _bytes_in(optimizer.state_dict()["state"])


def _bytes_in(value: Any) -> int:
    if isinstance(value, Tensor):
        return value.nbytes
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return sum(map(_bytes_in, inside))


class DecoupledSGD(SGD):
    """SGD whose weight decay shrinks the weights by lr * weight_decay a step, as AdamW's does.

    Torch's own adds the decay to the gradient, where the momentum amplifies it (Loshchilov and Hutter 2019,
    arXiv:1711.05101, algorithm 1). timm's SGDW takes the same steps to the bit (20 steps in 18 settings); ours spares
    every training with SGD the import of timm.
    """

    def step(self, closure=None):
        loss = closure() if closure is not None else None
        decays = [group["weight_decay"] for group in self.param_groups]
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None and group["weight_decay"]:
                    parameter.data.mul_(1 - group["lr"] * group["weight_decay"])
            group["weight_decay"] = 0.0
        super().step()
        for group, decay in zip(self.param_groups, decays, strict=True):
            group["weight_decay"] = decay
        return loss


def make_schedule(optimizer: Optimizer, lr: float, schedule: Schedule, steps_per_epoch: int) -> LambdaLR:
    """Return linear warm-up from 0 to `lr`, then half a cosine down to `final_lr` (arXiv:1608.03983), by step."""
    total = schedule.epochs * steps_per_epoch
    warmup = round(schedule.warmup_epochs * steps_per_epoch)
    floor = schedule.final_lr / lr

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        progress = min(1.0, (step - warmup) / max(1, total - warmup))
        return floor + (1 - floor) * (1 + cos(pi * progress)) / 2

    return LambdaLR(optimizer, factor)
