"""What several processes do with one model: parameters divided among them, statistics put together."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor, nn
from torch.distributed import all_gather_object, broadcast_object_list
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from ..data.loading.order import ALONE, Share
from ..errors import UserError
from ..hardware import processes
from ..models.layers import blocks
from .placement import check_gpus
from .tuning import batch_norms

LOST = re.compile(  # as gloo, NCCL and torch's stores say that another process is there no more
    r"(closed|reset) by peer|remote process exited|network error|Broken pipe|Connection refused|socket timeout"
    r"|communicator was aborted|NCCL.*(timeout|timed out)|recvValue failed|sendBytes failed|failed to recv",
    re.IGNORECASE | re.DOTALL,
)
SECONDS_TO_TELL = 4.0  # more than another process waits for the first one to tell


def join_processes(device: str) -> Share:
    """Return this process's share, after all that torchrun or SLURM started have met; alone where they started none."""
    if not processes.started_outside():
        return ALONE
    devices, nodes = processes.devices_and_nodes(1, 1)
    check_gpus(devices, device)
    fabric = L.Fabric(
        accelerator="gpu" if device == "cuda" else "cpu", devices=devices, num_nodes=nodes, strategy="ddp"
    )
    fabric.launch()
    return Share(fabric.global_rank, fabric.world_size)


def of_the_first(what: str, decide: Callable[[], Any], device: str) -> Any:
    """Return what the first process decides, as one choice of all; every process must ask."""
    if not processes.started_outside():
        return _told(what, decide)
    decided = [decide() if join_processes(device).rank == 0 else None]
    with ending_together():
        broadcast_object_list(decided)
    return decided[0]


def most_of_all(what: str, count: Callable[[], int], device: str) -> int:
    """Return the largest count of all processes; every process must ask.

    Those that Lightning starts are told the count of the first, which was alone.
    """
    if not processes.started_outside():
        return _told(what, count)
    counts = [0] * join_processes(device).world_size
    with ending_together():
        all_gather_object(counts, count())
    return max(counts)


def _told(what: str, decide: Callable[[], Any]) -> Any:
    told = processes.announced(what)
    if told is None:
        told = decide()
        processes.announce(what, told)
    return told


@contextmanager
def ending_together() -> Iterator[None]:
    """Say of a process that waits for another in vain that the other has ended, after it had time to say why."""
    try:
        yield
    except RuntimeError as error:
        if not LOST.search(str(error)):
            raise
        time.sleep(SECONDS_TO_TELL)
        raise UserError("another process of this command has ended before this one: it told why") from error


def gather_rows(rows: np.ndarray, share: Share) -> np.ndarray:
    """Put the rows of all shares, each every world_size-th, back into their order; every process must ask."""
    if share.world_size == 1:
        return rows
    parts: list[np.ndarray] = [rows] * share.world_size
    with ending_together():
        all_gather_object(parts, rows)
    whole = np.empty((sum(map(len, parts)), *rows.shape[1:]), rows.dtype)
    for rank, part in enumerate(parts):
        whole[rank :: share.world_size] = part
    return whole


def shard(module: nn.Module, mesh: DeviceMesh) -> None:
    """Divide the parameters of every block, and of what stands around them, among the processes (FSDP2)."""
    for block in blocks(module):
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
