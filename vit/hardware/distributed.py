"""What several processes do together before and beside training: meet, choose as one, gather rows, end together."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch.distributed import all_gather_object, broadcast_object_list

from ..errors import UserError
from . import processes
from .processes import ALONE, Share

LOST = re.compile(  # as gloo, NCCL and torch's stores say that another process is there no more
    r"(closed|reset) by peer|remote process exited|network error|Broken pipe|Connection refused|socket timeout"
    r"|communicator was aborted|NCCL.*(timeout|timed out)|recvValue failed|sendBytes failed|failed to recv",
    re.IGNORECASE | re.DOTALL,
)
SECONDS_TO_TELL = 4.0  # more than another process waits for the first one to tell


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


def join_processes(device: str) -> Share:
    """Return this process's share, after all that torchrun or SLURM started have met; alone where they started none."""
    if not processes.started_outside():
        return ALONE
    devices, nodes = processes.devices_and_nodes(1, 1)
    check_gpus(devices, device)
    import lightning as L  # here, since one process alone needs none of it

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
