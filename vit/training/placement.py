"""Where a training runs: on which device, in how many processes, and what these cannot do together."""

from dataclasses import dataclass

from ..errors import UserError
from ..hardware import processes
from ..hardware.distributed import check_gpus
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


def check_together(recipe: Recipe, placement: Placement, precision: str) -> None:
    """Refuse settings that a divided model does not have."""
    if placement.strategy != "fsdp":
        return
    wrong = {
        "tuning.trainable=lora": recipe.tuning.trainable == "lora",
        "tuning.trainable=head": recipe.tuning.trainable == "head",
        "training.precision=fp16": precision == "fp16",
        "distillation": recipe.distillation is not None,
    }
    found = [setting for setting, there in wrong.items() if there]
    if found:
        raise UserError(f"training.strategy=fsdp does not go with {', '.join(found)}; use ddp")
