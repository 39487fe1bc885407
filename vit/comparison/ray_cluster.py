"""Trainings on a Ray cluster: a worker process each, on whichever node has room; all nodes share what they write."""

import logging
import os
import socket
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from functools import partial
from pathlib import Path

import ray
from ray.exceptions import OutOfMemoryError, RayError, RayTaskError

from ..errors import UserError
from ..hardware.endings import LACK_OF_MEMORY
from ..registry import additions
from .fresh_processes import died
from .local import train_and_evaluate
from .plan import PlannedRun, TrainAll, not_finished
from .progress import CompareProgress
from .ray_nodes import (
    Origin,
    Share,
    check_views,
    in_fresh_process,
    living_nodes,
    nodes_with_room,
    share_of_a_training,
    views_from,
)

TRIES = 3  # of one training whose workers die
ANSWER_SECONDS = 5
JOINING = "`ray start --head` begins a cluster; a machine, this one too, joins by `ray start --address=HOST:PORT`"


@contextmanager
def connected(address: str, folder: Path) -> Iterator[TrainAll]:
    """Yield what trains the comparison in `folder`; leaving ends the tasks that still run, and drops those that wait.

    Raises UserError for a cluster that cannot be reached.
    """
    with redirect_stdout(sys.stderr):  # Ray tells on stdout of workers that died; ours is for the report's path
        connect(address)
        try:
            yield partial(train_on_cluster, folder)
        finally:
            ray.shutdown()


def connect(address: str) -> None:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    if address != "local":
        check_answers(os.environ.get("RAY_ADDRESS", address) if address == "auto" else address)
        os.environ.setdefault("RAY_gcs_server_port_wait_time_s", "1")  # one attempt; by default 20, ten minutes long
    try:
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR, include_dashboard=False)
    except (ConnectionError, RuntimeError, ValueError, RayError) as error:
        raise UserError(f"--cluster {address}: {error}\n{JOINING}") from error


def check_answers(address: str) -> None:
    """Refuse an address where nobody answers; an `auto` without one is left to Ray, which looks for it."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), ANSWER_SECONDS).close()
    except OSError as error:
        raise UserError(f"--cluster {address}: nobody answers there ({error})\n{JOINING}") from error


def train_on_cluster(folder: Path, planned: list[PlannedRun], jobs: int | None) -> None:
    """Train and evaluate what is not there yet, as many at a time as the nodes have room for."""
    missing = not_finished(planned)
    nodes = living_nodes()
    share = share_of_a_training(nodes, planned, jobs)
    nodes = nodes_with_room(nodes, share)
    origin = Origin(Path.cwd(), sys.argv, additions())
    if missing:
        check_views(views_from(nodes, folder, missing[0], share, origin))
    with CompareProgress(planned, missing, sum(map(share.places, nodes))) as progress:
        train_all(missing, share, origin, progress)


def train_all(missing: list[PlannedRun], share: Share, origin: Origin, progress: CompareProgress) -> None:
    """Train and evaluate; where a worker dies, its training goes on in another."""
    running = {begin(p, share, origin): p for p in missing}
    deaths: Counter[str] = Counter()
    while running:
        (ended,), _ = ray.wait(list(running))
        planned = running.pop(ended)
        try:
            progress.finished(planned, *result_of(ended, planned))
        except RayError as error:
            deaths[planned.title()] += 1
            check_tries(deaths[planned.title()], planned, error)
            progress.begun_again(planned)
            running[begin(planned, share, origin)] = planned


def begin(planned: PlannedRun, share: Share, origin: Origin) -> ray.ObjectRef:
    options = {"name": planned.title(), "num_cpus": share.threads, "num_gpus": share.gpus}
    return in_fresh_process(train_there, **options).remote(planned, share.threads, origin)


def train_there(planned: PlannedRun, threads: int, origin: Origin) -> tuple[float, float]:
    origin.adopt()
    return train_and_evaluate(planned, threads)


def result_of(reference: ray.ObjectRef, planned: PlannedRun) -> tuple[float, float]:
    """Return what a training gave; its mistake is told with its name. Raises RayError where its worker died."""
    try:
        return ray.get(reference)
    except RayTaskError as error:
        if isinstance(error.cause, UserError):
            raise UserError(f"{planned.title()}: {error.cause}") from error
        raise error.cause from error


def check_tries(deaths: int, planned: PlannedRun, error: RayError) -> None:
    if deaths == TRIES:
        raise UserError(died(planned.title(), f"died {TRIES} times: the last one {how_it_died(error)}")) from error


def how_it_died(error: RayError) -> str:
    """Return what Ray knows of it; by which signal a worker ended, it does not."""
    if isinstance(error, OutOfMemoryError):
        return f"was ended by Ray, {LACK_OF_MEMORY}"
    lines = str(error).splitlines() or [""]
    return (
        f"was ended from outside or crashed in a library's code, and Ray does not tell which ({type(error).__name__}: "
        f"{lines[0]}); where one machine alone trains it, without --cluster, the signal is named"
    )
