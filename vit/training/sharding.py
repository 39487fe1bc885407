"""What several processes do with one model: parameters divided among them, statistics put together."""

import lightning as L
import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from ..models.interface import blocks_of
from .tuning import batch_norms


def shard(module: nn.Module, mesh: DeviceMesh) -> None:
    """Divide the parameters of every block, and of what stands around them, among the processes (FSDP2)."""
    for block in blocks_of(module):
        fully_shard(block, mesh=mesh)
    fully_shard(module, mesh=mesh, reshard_after_forward=True)  # else validation leaves some of it whole


def whole(tensor: Tensor) -> Tensor:
    """Return a tensor as one process would hold it; where it is divided, every process must ask."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def divided_as(tensor: Tensor, pattern: Tensor) -> Tensor:
    """Return a whole tensor on the device of another, and divided among the processes as that one is."""
    if isinstance(pattern, DTensor):
        return distribute_tensor(tensor.to(pattern.device), pattern.device_mesh, pattern.placements)
    return tensor.to(pattern.device)


def average_statistics(module: nn.Module, trainer: L.Trainer) -> None:
    """Give every process the mean of all processes' BatchNorm statistics, so that they hold one model."""
    if trainer.world_size == 1:
        return
    running = [norm for norm in batch_norms(module) if norm.training and not isinstance(norm, nn.SyncBatchNorm)]
    statistics = [s for norm in running for s in (norm.running_mean, norm.running_var) if isinstance(s, Tensor)]
    if statistics:
        means = trainer.strategy.reduce(torch.cat(statistics), reduce_op="mean")
        for own, mean in zip(statistics, means.split([len(s) for s in statistics]), strict=True):
            own.copy_(mean)


def any_process(trainer: L.Trainer, *flags: bool) -> list[bool]:
    """Return, for each flag, whether it is set in any process; every process must ask."""
    if trainer.world_size == 1:
        return list(flags)
    counts = torch.tensor(flags, dtype=torch.int32, device=trainer.strategy.root_device)
    return trainer.strategy.reduce(counts, reduce_op="sum").bool().tolist()
