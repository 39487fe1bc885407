"""Which of several processes this is, and how many there are, as whoever started them tells it.

torchrun, SLURM and Lightning's launcher each set environment variables; a process without them is alone so far.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TOLD = "VIT_RUN_"  # begins what tells the processes that Lightning starts where the first one writes, and what it chose


@dataclass(frozen=True)
class Share:
    """Which of several processes this is: each takes its part of every step, and of every evaluation."""

    rank: int = 0
    world_size: int = 1


ALONE = Share()


def is_first() -> bool:
    """Return whether this process writes and speaks for all of them."""
    if started_by_slurm():
        return _number("SLURM_PROCID") == 0
    return not any(_number(name) for name in ("RANK", "LOCAL_RANK", "NODE_RANK"))


def started_outside() -> bool:
    """Return whether torchrun or SLURM started the processes; else Lightning starts those that a recipe asks for."""
    return "TORCHELASTIC_RUN_ID" in os.environ or started_by_slurm()


def started_by_slurm() -> bool:
    interactive = os.environ.get("SLURM_JOB_NAME") in ("bash", "interactive")
    return _number("SLURM_NTASKS", 1) > 1 and not interactive and "TORCHELASTIC_RUN_ID" not in os.environ


def devices_and_nodes(devices: int, nodes: int) -> tuple[int, int]:
    """Return the processes of a node and the nodes: as started, else as the recipe says."""
    if started_by_slurm():
        nodes = _number("SLURM_NNODES", 1)
        return _number("SLURM_NTASKS") // nodes, nodes
    if started_outside():
        return _number("LOCAL_WORLD_SIZE", 1), _number("GROUP_WORLD_SIZE", 1)
    return devices, nodes


def rank() -> int:
    """Return this process's number among all of them."""
    return _number("SLURM_PROCID") if started_by_slurm() else _number("RANK") or local_rank()


def local_rank() -> int:
    """Return this process's number on its machine, which is also its GPU's."""
    return _number("SLURM_LOCALID") if started_by_slurm() else _number("LOCAL_RANK")


def announce(what: str, value: Any) -> None:
    """Tell the processes that this one will start of a choice, which JSON can hold."""
    os.environ[TOLD + what.upper()] = json.dumps(value)


def announced(what: str) -> Any:
    """Return what the first process has chosen, in the processes that it started; else None."""
    return None if is_first() else json.loads(os.environ.get(TOLD + what.upper(), "null"))


def announced_folder() -> Path | None:
    """Return the folder that the first process has chosen, in the processes that it started."""
    told = announced("folder")
    return None if told is None else Path(told)


def _number(name: str, default: int = 0) -> int:
    return int(os.environ.get(name) or default)
