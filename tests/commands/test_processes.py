"""Several processes compute what one does; every image is evaluated once; runs go on in another number of them."""

import csv
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from forked import Vit

import vit
from vit import UserError
from vit.files import read_json
from vit.hardware.distributed import join_processes
from vit.recipe import load_recipe
from vit.run_folder import RunFolder
from vit.training.placement import place

STEPS = 20
# Each epoch is one step, so that metrics.csv holds every step's loss; 85 images of validation and 359 of test are odd.
SETTINGS = [f"schedule.epochs={STEPS}", "schedule.warmup_epochs=2", "model.depth=2", "training.batch_size=512"]
SETTINGS += ["data.fraction=0.5", "data.test_fraction=0.2", "data.validation_fraction=0.059"]
SETTINGS += ["training.ema_decay=0.9", "training.clip_norm=1.0"]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "vit"]


def in_two(*arguments: str, code: str = "") -> list[Vit]:
    """Start two processes of one command as torchrun would, without its wait for imports."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
    together = {"TORCHELASTIC_RUN_ID": "test", "GROUP_RANK": "0", "GROUP_WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1"}
    together |= {"MASTER_PORT": port, "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    return [Vit(*arguments, code=code, **together, RANK=rank, LOCAL_RANK=rank) for rank in ("0", "1")]


def succeed(*processes: Vit) -> str:
    """Return what the first of them printed."""
    statuses, printed = zip(*(process.end() for process in processes), strict=True)
    assert set(statuses) == {0}, "".join(printed)
    assert not any(printed[1:])
    return printed[0]


def rows(run: RunFolder, key: str) -> np.ndarray:
    with run.metrics.open() as file:
        return np.array([float(row[key]) for row in csv.DictReader(file)])


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    run = RunFolder(tmp_path_factory.mktemp("alone") / "run")
    succeed(Vit("train", "digits_vit", *SETTINGS, "--out", str(run.path)))
    succeed(Vit("evaluate", str(run.path)))
    return run


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    run = RunFolder(tmp_path_factory.mktemp("two") / "run")
    command = [*TORCHRUN, "train", "digits_vit", *SETTINGS, "--out", str(run.path)]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert shown.stdout.split() == [str(run.path)]
    assert shown.stderr.count("fp32 on 2 cpu processes by ddp") == 1
    succeed(*in_two("evaluate", str(run.path)))
    return run


def test_two_processes_train_as_one(alone: RunFolder, two: RunFolder) -> None:
    assert len(rows(two, "train_loss")) == STEPS
    assert np.abs(rows(alone, "train_loss") - rows(two, "train_loss")).max() <= 1e-5
    assert np.abs(rows(alone, "validation_loss") - rows(two, "validation_loss")).max() <= 1e-5
    for key in ("train_top1", "validation_top1", "validation_balanced_accuracy", "images_seen", "lr"):
        assert np.array_equal(rows(alone, key), rows(two, key)), key
    assert read_json(two.summary)["processes"] == 2


def test_two_processes_evaluate_every_image_once(alone: RunFolder, two: RunFolder) -> None:
    one, both = (np.load(run.logits("test")) for run in (alone, two))
    assert len(one["ids"]) == 359 and read_json(alone.summary)["validation_images"] == 85
    assert one["ids"].tolist() == both["ids"].tolist()
    assert np.abs(one["logits"] - both["logits"]).max() <= 1e-4
    scores, again = (read_json(run.scores("test")) for run in (alone, two))
    assert scores["top1"] == again["top1"] > 0.5
    assert scores["confusion"] == again["confusion"]


def test_processes_started_from_outside_must_be_told_where_to_write(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"TORCHELASTIC_RUN_ID": "a run", "RANK": "0", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)  # as torchrun does
    with pytest.raises(UserError, match="several processes write one run: say where with --out DIR"):
        vit.train("digits_vit")


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_a_run_of_two_processes_stops_saves_and_goes_on_in_two_or_one(
    alone: RunFolder, tmp_path: Path, strategy: str
) -> None:
    run = RunFolder(tmp_path / "run")
    command = ["train", "digits_vit", *SETTINGS, "--out", str(run.path)]
    several = [f"training.strategy={strategy}", "training.checkpoint_seconds=0"]
    stop_after(1, run, in_two(*command, *several))
    if strategy == "fsdp":
        stop_after(saved_steps(run) + 1, run, in_two(*command, *several, "--resume"))
        succeed(*in_two(*command, *several, "--resume"))
        assert succeed(*in_two(*command, *several, "--resume")).strip() == str(run.path)
    else:
        succeed(Vit(*command, "--resume"))
    assert np.abs(rows(alone, "train_loss") - rows(run, "train_loss")).max() <= 1e-5
    assert np.array_equal(rows(alone, "validation_top1"), rows(run, "validation_top1"))
    vit.evaluate(run.path)
    with np.load(alone.logits("test")) as ours, np.load(run.logits("test")) as theirs:
        assert np.abs(ours["logits"] - theirs["logits"]).max() <= 1e-4


def stop_after(steps: int, run: RunFolder, processes: list[Vit]) -> None:
    """Send SIGTERM to one process when so many steps are saved; both must end, and the first tell how to go on."""
    deadline = time.monotonic() + 120
    while not run.last_checkpoint.exists() or saved_steps(run) < steps:
        assert all(p.process.is_alive() for p in processes) and time.monotonic() < deadline
        time.sleep(0.05)
    processes[0].send(signal.SIGTERM)
    (status, told), (other, nothing) = (process.end() for process in processes)
    assert (status, other, nothing) == (130, 0, ""), told
    assert told.count("interrupted; continue with:") == 1
    assert "Traceback" not in told
    assert not run.model.exists()


CHOOSING = """import os
from vit.hardware import precision
from vit.training import memory
rank = int(os.environ["RANK"])
memory.parts_that_fit = lambda *_: (2, 4)[rank]  # the second has less memory
precision.remembered_bf16_ratio = lambda _: (0.5, 3.0)[rank]
"""


def test_processes_choose_parts_and_precision_together(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    settings = ["schedule.epochs=1", "schedule.warmup_epochs=0", "model.depth=1", "data.fraction=0.2"]
    settings += ["training.accumulate=auto", "training.precision=auto", "training.batch_size=64"]
    told = succeed(*in_two("train", "digits_vit", *settings, "--out", str(run.path), code=CHOOSING))
    assert "steps of 32 images in 4 parts" in told and "fp32 on 2 cpu processes" in told
    assert torch.load(run.last_checkpoint, weights_only=True)["parts"] == read_json(run.summary)["parts"] == 4


FAILING = """import os
if os.environ.get("LOCAL_RANK", "0") == "%s":
    import torch
    from vit.training.loss import Loss

    def failing(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    Loss.forward = failing
"""


@pytest.mark.parametrize("failing", ["0", "1"])
def test_what_one_process_meets_ends_all_and_is_told(tmp_path: Path, failing: str) -> None:
    began = time.monotonic()
    command = ["train", "digits_vit", *SETTINGS, "--out", str(tmp_path / "run")]
    ended = [process.end(60) for process in in_two(*command, code=FAILING % failing)]
    assert time.monotonic() - began < 60
    assert [status for status, _ in ended] == [2, 2], ended
    assert ("vit: process 1: " if failing == "1" else "vit: ") + "out of memory: a step of 256" in ended[int(failing)][
        1
    ]
    assert "another process of this command has ended" in ended[1 - int(failing)][1]
    assert "fault of ours" not in ended[0][1] + ended[1][1]


def test_processes_that_a_recipe_started_end_with_the_first(tmp_path: Path) -> None:
    """None is left, which would hold the output open."""
    (tmp_path / "sitecustomize.py").write_text(FAILING % "0")
    command = [sys.executable, "-m", "vit", "train", "digits_vit", *SETTINGS, "training.devices=2"]
    surroundings = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{Path(vit.__file__).parents[1]}"}
    command += ["--out", str(tmp_path / "run")]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=240, env=surroundings)
    assert shown.returncode == 2 and "vit: out of memory: a step of 256 images" in shown.stderr, shown.stderr
    assert "process 1" not in shown.stderr and "fault of ours" not in shown.stderr


def test_a_card_for_each_process_is_looked_for_before_they_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"TORCHELASTIC_RUN_ID": "a run", "RANK": "1", "LOCAL_WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(
        UserError, match=r"2 processes on this machine need as many GPUs, and torch sees 1 here; start 1"
    ):
        join_processes("cuda")


def test_several_nodes_started_by_hand_cannot_choose_together() -> None:
    training = load_recipe("digits_vit", {"training.nodes": 2, "training.accumulate": "auto"}).training
    with pytest.raises(UserError, match="accumulate=auto needs processes that torchrun or SLURM started"):
        place(training, "cpu")


def saved_steps(run: RunFolder) -> int:
    return torch.load(run.last_checkpoint, weights_only=True)["global_step"]


def test_a_recipe_starts_its_own_processes(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    command = [sys.executable, "-m", "vit", "train", "digits_vit", "schedule.epochs=1", "schedule.warmup_epochs=0"]
    command += ["data.fraction=0.1", "model.depth=1", "training.devices=2", "--out", str(run.path)]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert (shown.returncode, shown.stdout) == (0, f"{run.path}\n"), shown.stderr
    assert shown.stderr.count("fp32 on 2 cpu processes by ddp") == 1
    assert read_json(run.summary)["processes"] == 2
