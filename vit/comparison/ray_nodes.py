"""The nodes of a Ray cluster: what a training takes of one, and whether all of them see and compute alike."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from .. import __version__
from ..errors import UserError
from ..hardware.machine import available_cores
from ..registry import Additions, adopt
from .jobs import default_jobs, threads_of_a_training
from .local import decide_precision
from .plan import PlannedRun

Node = dict[str, Any]  # as ray.nodes() tells of it


@dataclass(frozen=True)
class Share:
    """What one training takes of a node."""

    threads: int
    gpus: int

    def places(self, node: Node) -> int:
        """Return how many trainings a node carries at a time."""
        by_cores = amount(node, "CPU") // self.threads
        return min(by_cores, amount(node, "GPU")) if self.gpus else by_cores


@dataclass(frozen=True)
class Origin:
    """Where and with which words the command was given, which Ray does not hand on, and what the registry was given."""

    directory: Path
    arguments: list[str]
    added: Additions

    def adopt(self) -> None:
        os.chdir(self.directory)
        sys.argv = self.arguments
        adopt(self.added)


@dataclass(frozen=True)
class View:
    """What a node has, does not see, and would decide."""

    version: str
    unseen: Path | None
    precision: str


def living_nodes() -> list[Node]:
    return [node for node in ray.nodes() if node["Alive"]]


def amount(node: Node, resource: str) -> int:
    return int(node["Resources"].get(resource, 0))


def name_of(node: Node) -> str:
    return f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})"


def share_of_a_training(nodes: list[Node], planned: list[PlannedRun], jobs: int | None) -> Share:
    """Return as many threads as without a cluster, since a CPU's results depend on them; or a GPU and its cores."""
    with_gpu = [node for node in nodes if amount(node, "GPU")]
    on_gpu = bool(with_gpu) and any(p.recipe.training.device != "cpu" for p in planned)
    if on_gpu and jobs is None:
        return Share(max(1, min(amount(node, "CPU") // amount(node, "GPU") for node in with_gpu)), gpus=1)
    return Share(threads_of_a_training(jobs or default_jobs(planned)), gpus=int(on_gpu))


def nodes_with_room(nodes: list[Node], share: Share) -> list[Node]:
    """Return the nodes that trainings may run on; raises UserError where there is none."""
    with_room = [node for node in nodes if share.places(node)]
    if not with_room:
        raise UserError(
            f"a training takes {share.threads} cores{' and a GPU' if share.gpus else ''}, and no node of the cluster "
            f"has them; --jobs N gives each training an N-th of this machine's {available_cores()} cores"
        )
    return with_room


def views_from(
    nodes: list[Node], folder: Path, planned: PlannedRun, share: Share, origin: Origin
) -> list[tuple[str, View]]:
    """Return the name of each node and what it sees; raises UserError where vit does not run."""
    with NamedTemporaryFile(prefix="seen-by-all-nodes-", dir=folder.absolute()) as token:
        looks = [(name_of(node), begin_look(node, Path(token.name), planned, share, origin)) for node in nodes]
        return [(name, view_of(reference, name)) for name, reference in looks]


def check_views(views: list[tuple[str, View]]) -> None:
    """Refuse nodes that have another vit, do not share the folder, or would compute in another precision."""
    for name, view in views:
        if view.version != __version__:
            raise UserError(f"node {name} has vit {view.version}, this machine {__version__}; all need the same")
        if view.unseen:
            raise UserError(
                f"node {name} does not see {view.unseen}, or may not write there; give the command, and --out, "
                "in a folder that all nodes share"
            )
    precisions = {view.precision: name for name, view in views}
    if len(precisions) > 1:
        told = " and ".join(f"{precision} on node {name}" for precision, name in precisions.items())
        raise UserError(f"training.precision auto is {told}; models are compared alike: set training.precision=fp32")


def begin_look(node: Node, token: Path, planned: PlannedRun, share: Share, origin: Origin) -> ray.ObjectRef:
    """Take no core for it, so that it waits for nobody's work."""
    there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
    options = {"num_cpus": 0, "num_gpus": share.gpus, "scheduling_strategy": there}
    return in_fresh_process(look, **options).remote(token, planned, share.threads, origin)


def look(token: Path, planned: PlannedRun, threads: int, origin: Origin) -> View:
    """Return what this node has and sees; its precision is decided now, while nothing else of ours runs there."""
    if not origin.directory.is_dir():
        return View(__version__, origin.directory, "")
    origin.adopt()
    shared = token.exists() and os.access(token.parent, os.W_OK)
    return View(__version__, None if shared else token.parent, decide_precision(planned, threads))


def view_of(reference: ray.ObjectRef, name: str) -> View:
    try:
        return ray.get(reference)
    except RayTaskError as error:
        if isinstance(error.cause, UserError):
            raise error.cause from error
        first_line = str(error.cause).splitlines()[0]
        raise UserError(f"node {name} cannot run vit {__version__}: {first_line}; all nodes need the same") from error
    except RayError as error:
        raise UserError(f"node {name} was lost: {error}") from error


def in_fresh_process(function: Callable, **options: Any) -> Any:
    """Return a task with threads, memory peak and crash of its own; Ray is not to begin it again, we do and say so."""
    return ray.remote(max_calls=1, max_retries=0, **options)(function)
