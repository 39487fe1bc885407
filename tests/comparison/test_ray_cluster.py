"""Comparisons on a Ray cluster: real nodes and workers, all of them on this machine."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import vit
from vit.comparison.plan import plan
from vit.comparison.ray_nodes import Share, View, check_views, nodes_with_room, share_of_a_training
from vit.errors import UserError
from vit.hardware.machine import available_cores
from vit.recipe import load_comparison
from vit.run_folder import RunFolder

LOST = "fraction-0.6-seed-1"  # what the cluster trains again, of both models


@pytest.fixture(scope="module")
def cluster(comparison: Path) -> Iterator[str]:
    """The address of a cluster whose two nodes have room for one training each."""
    from ray.cluster_utils import Cluster

    threads = max(1, available_cores() // len(plan(load_comparison(comparison), Path())))
    folder = tempfile.mkdtemp(prefix="ray")  # pytest's folders are too deep for the name of a socket
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_TMPDIR", folder)  # where Ray notes its clusters, too
        (Path(folder) / "ray").mkdir()
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)  # every worker would compile all that it imports
        nodes = Cluster()
        for _ in range(2):
            nodes.add_node(num_cpus=threads, object_store_memory=100_000_000, include_dashboard=False)
        yield nodes.address
        nodes.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


def worker_of(run: Path) -> int | None:
    """Return the process that trains the run, once it has begun to write; Ray gives it the training's title."""
    title = f"ray::{run.parts[-2].removeprefix('digits_')}  fraction 0.6  seed 1"
    for process in Path("/proc").glob("[0-9]*") if (run / "recipe.yaml").exists() else ():
        try:
            if (process / "cmdline").read_text().startswith(title):
                return int(process.name)
        except OSError:  # it has just ended
            continue
    return None


@pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")
def test_a_killed_worker_changes_nothing(
    cluster: str, comparison: Path, report: Path, untimed: Callable[[Path], dict], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(report, tmp_path / "report"))
    lost = list(folder.glob(f"runs/*/{LOST}"))
    for run in lost:
        shutil.rmtree(run)
    command = [sys.executable, "-m", "vit", "compare", str(comparison), "--out", str(folder), "--cluster", cluster]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while not (found := [pid for run in lost if (pid := worker_of(run))]) and process.poll() is None:
            time.sleep(0.01)
        for pid in found[:1]:
            os.kill(pid, signal.SIGKILL)
        output, errors = process.communicate(timeout=480)
    assert (process.returncode, output) == (0, f"{folder}/report.html\n"), errors
    assert errors.startswith("2 trainings to do, 6 done before; 2 side by side\n")
    assert errors.count("its worker died; begun again") == 1
    assert errors.count("% on test") == 2
    assert untimed(folder) == untimed(report)


def unused_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("given", ["auto", "address", "nonsense"])
def test_a_cluster_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    address = unused_address()
    monkeypatch.setenv("RAY_ADDRESS", address)
    message = "Invalid address" if given == "nonsense" else f"{address}: nobody answers there"
    with pytest.raises(UserError, match=f"--cluster .*{message}(.|\n)*ray start --head"):
        vit.compare("compare_digits", out=tmp_path / "out", cluster=address if given == "address" else given)
    assert not (tmp_path / "out").exists()


def test_without_ray_the_message_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "vit.comparison.ray_cluster", raising=False)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"--cluster needs ray: .* pip install '\.\[cluster\]'"):
        vit.compare("compare_digits", out=tmp_path / "out", cluster="auto")
    assert not (tmp_path / "out").exists()


def test_finished_runs_need_no_cluster(tmp_path: Path) -> None:
    RunFolder(tmp_path).recipe.touch()
    with pytest.raises(UserError, match="nothing to train on a cluster"):
        vit.compare(tmp_path, cluster="auto")


def node(**resources: float) -> dict:
    return {"Resources": resources}


def test_a_training_has_the_threads_that_it_would_have_here(comparison: Path) -> None:
    planned = plan(load_comparison(comparison), Path())
    for jobs in (1, 2, available_cores()):
        share = share_of_a_training([node(CPU=64.0)], planned, jobs)
        assert share == Share(max(1, available_cores() // jobs), gpus=0)
    assert Share(threads=3, gpus=0).places(node(CPU=8.0, GPU=1.0)) == 2


def test_on_gpus_a_training_has_one_and_its_cores(comparison: Path) -> None:
    planned = plan(load_comparison(comparison, {"training.device": "auto"}), Path())
    nodes = [node(CPU=64.0, GPU=8.0), node(CPU=12.0, GPU=2.0), node(CPU=32.0), node(memory=1e9)]
    share = share_of_a_training(nodes, planned, None)
    assert share == Share(threads=6, gpus=1)
    assert nodes_with_room(nodes, share) == nodes[:2]
    assert [share.places(node) for node in nodes] == [8, 2, 0, 0]
    on_cpu = plan(load_comparison(comparison, {"training.device": "cpu"}), Path())
    assert share_of_a_training(nodes, on_cpu, 1).gpus == 0


def test_a_training_that_fits_nowhere_is_refused() -> None:
    with pytest.raises(UserError, match="takes 16 cores, and no node of the cluster has them; --jobs N"):
        nodes_with_room([node(CPU=8.0), node(CPU=15.0)], Share(threads=16, gpus=0))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (View("0.0.9", None, "fp32"), f"node b has vit 0.0.9, this machine {vit.__version__}"),
        (View(vit.__version__, Path("/home/me"), "fp32"), "node b does not see /home/me"),
        (View(vit.__version__, None, "bf16"), "auto is fp32 on node a and bf16 on node b.*training.precision=fp32"),
    ],
)
def test_nodes_that_are_not_alike_are_refused(other: View, message: str) -> None:
    like_here = View(vit.__version__, None, "fp32")
    check_views([("a", like_here), ("b", like_here)])
    with pytest.raises(UserError, match=message):
        check_views([("a", like_here), ("b", other)])
