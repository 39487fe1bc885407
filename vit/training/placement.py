"""Where a training runs: on which device, in how many processes, and what these cannot do together."""

from dataclasses import dataclass

import torch

from ..errors import UserError
from ..hardware import processes
from ..recipe import Recipe, Training


@dataclass(frozen=True)
class Placement:
    """Where a training runs: "cpu" or "cuda", so many processes a node, and how they share the model."""

    device: str
    devices: int
    nodes: int
    strategy: str  # single, ddp, fsdp

    @property
    def world_size(self) -> int:
        return self.devices * self.nodes

    def in_words(self) -> str:
        if self.world_size == 1:
            return self.device
        nodes = f" on {self.nodes} nodes" if self.nodes > 1 else ""
        return f"{self.world_size} {self.device} processes{nodes} by {self.strategy}"


def place(training: Training, device: str) -> Placement:
    """Return where a recipe runs; raises UserError for what cannot be together."""
    devices, nodes = processes.devices_and_nodes(training.devices, training.nodes)
    check_gpus(devices, device)
    several = devices * nodes > 1
    if nodes > 1 and training.accumulate == "auto" and not processes.started_outside():
        raise UserError(
            "training.accumulate=auto needs processes that torchrun or SLURM started, where there are several nodes: "
            "they choose together; or give a number"
        )
    if training.strategy == "fsdp" and not several:
        raise UserError(
            "training.strategy=fsdp divides a model among processes, and there is one: give training.devices"
        )
    strategy = {"auto": "ddp"}.get(training.strategy, training.strategy) if several else "single"
    return Placement(device, devices, nodes, strategy)


def check_gpus(devices: int, device: str) -> None:
    """Refuse more processes of a node than it has GPUs."""
    if device == "cpu" or devices <= torch.cuda.device_count():
        return
    there = torch.cuda.device_count()
    if processes.started_by_slurm():
        advice = f"ask SLURM for --gpus-per-node={devices}, and for none by task: each process looks for its own"
    elif processes.started_outside():
        advice = f"start {there}, or set CUDA_VISIBLE_DEVICES= for the processor"
    else:
        advice = f"training.devices={there}, or training.device=cpu"
    raise UserError(f"{devices} processes on this machine need as many GPUs, and torch sees {there} here; {advice}")


def check_together(recipe: Recipe, placement: Placement, precision: str) -> None:
    """Refuse settings that a divided model does not have."""
    if placement.strategy != "fsdp":
        return
    wrong = {
        "tuning.trainable=lora": recipe.tuning.trainable == "lora",
        "tuning.trainable=head": recipe.tuning.trainable == "head",
        "training.precision=fp16": precision == "fp16",
    }
    found = [setting for setting, there in wrong.items() if there]
    if found:
        raise UserError(f"training.strategy=fsdp does not go with {', '.join(found)}; use ddp")
