"""A run may be killed at any moment: it goes on, and ends as if nothing had been."""

import csv
import errno
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
import torch
from forked import Vit, context
from safetensors.torch import load_file

import vit
from vit.errors import UserError
from vit.run_folder import RunFolder

SMALL = {"data.fraction": 0.4, "training.batch_size": 32, "schedule.epochs": 3, "schedule.warmup_epochs": 1}
MODELS = {
    "digits_vit": {
        "mixing.mixup": 0.2,
        "mixing.cutmix": 1.0,
        "model.drop_path": 0.2,
        "model.depth": 2,
        "training.ema_decay": 0.99,
    },
    "digits_resnet_cbam": {"model.drop_path": 0.2, "training.ema_decay": 0.99},
}
CLOCK = ("seconds", "train_seconds", "waiting_seconds")


def train_alone(recipe: str, overrides: dict[str, Any], out: Path, resume: bool) -> None:
    torch.set_num_threads(1)
    vit.train(recipe, out=out, overrides=overrides, resume=resume, quiet=True)


def start(recipe: str, overrides: dict[str, Any], run: RunFolder) -> BaseProcess:
    process = context.Process(target=train_alone, args=(recipe, overrides, run.path, run.recipe.exists()))
    process.start()
    return process


def finish(recipe: str, overrides: dict[str, Any], run: RunFolder) -> None:
    process = start(recipe, overrides, run)
    process.join(timeout=240)
    assert process.exitcode == 0


def kill(process: BaseProcess) -> None:
    process.kill()  # SIGKILL
    process.join(timeout=60)


def kill_at_some_step(process: BaseProcess, run: RunFolder, seconds: float) -> None:
    written = run.last_checkpoint.stat().st_mtime_ns if run.last_checkpoint.exists() else 0
    wait_for(process, lambda: run.last_checkpoint.exists() and run.last_checkpoint.stat().st_mtime_ns > written)
    time.sleep(seconds)
    kill(process)


def kill_while_writing(process: BaseProcess, run: RunFolder) -> bool:
    """Kill a process that has begun to write a checkpoint; return whether a half one is there."""
    former = set(unfinished(run))
    wait_for(process, lambda: set(unfinished(run)) - former)
    kill(process)
    return bool(set(unfinished(run)) - former)


def unfinished(run: RunFolder) -> Iterator[Path]:
    return run.checkpoints.glob("new-*-last.ckpt")


def wait_for(process: BaseProcess, seen: Callable[[], object]) -> None:
    deadline = time.monotonic() + 120
    while not seen():
        assert process.is_alive() and time.monotonic() < deadline, "it ended before it could be killed"


def differences(a: Any, b: Any, path: str = "") -> Iterator[str]:
    """Yield where two checkpoints differ in any bit, the clock aside."""
    if isinstance(a, torch.Tensor):
        if not torch.equal(a, b):
            yield path
    elif isinstance(a, dict):
        if a.keys() != b.keys():
            yield f"{path}: {a.keys() ^ b.keys()}"
        for key in a.keys() & b.keys():
            if key not in CLOCK:
                yield from differences(a[key], b[key], f"{path}/{key}")
    elif isinstance(a, list | tuple):
        if len(a) != len(b):
            yield path
        for i, (x, y) in enumerate(zip(a, b, strict=False)):
            yield from differences(x, y, f"{path}/{i}")
    elif a != b:
        yield f"{path}: {a} and {b}"


def assert_equal_runs(expected: RunFolder, found: RunFolder) -> None:
    a, b = (torch.load(run.last_checkpoint, weights_only=True) for run in (expected, found))
    assert a["global_step"] > 40 and len(a["optimizer_states"][0]["state"]) > 10
    assert list(differences(a, b)) == []
    assert lines(expected) == lines(found)
    kept, again = load_file(expected.model), load_file(found.model)
    assert kept.keys() == again.keys()
    assert all(torch.equal(kept[name], again[name]) for name in kept)


def lines(run: RunFolder) -> list[dict[str, str]]:
    """Return the rows of metrics.csv without the clock."""
    with run.metrics.open() as file:
        return [{name: value for name, value in row.items() if name not in CLOCK} for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], RunFolder]:
    """Return the function (recipe, precision) -> a run that nothing interrupted, without loading processes."""
    runs: dict[tuple[str, str], RunFolder] = {}

    def get(recipe: str, precision: str) -> RunFolder:
        if (recipe, precision) not in runs:
            run = RunFolder(tmp_path_factory.mktemp("uninterrupted") / f"{recipe}-{precision}")
            finish(recipe, SMALL | MODELS[recipe] | {"training.precision": precision}, run)
            runs[recipe, precision] = run
        return runs[recipe, precision]

    return get


@pytest.mark.parametrize(
    ("recipe", "precision", "workers"),
    [
        ("digits_vit", "fp32", 2),
        ("digits_vit", "bf16", 0),
        ("digits_vit", "fp16", 0),
        ("digits_resnet_cbam", "fp32", 0),
        ("digits_resnet_cbam", "bf16", 2),
    ],
)
def test_a_run_that_was_killed_three_times_ends_as_if_nothing_had_been(
    uninterrupted: Callable, tmp_path: Path, recipe: str, precision: str, workers: int
) -> None:
    expected, run = uninterrupted(recipe, precision), RunFolder(tmp_path / "run")
    overrides = SMALL | MODELS[recipe] | {"training.precision": precision}
    overrides |= {"training.checkpoint_seconds": 0, "data.workers": workers}
    chance = random.Random(f"{recipe} {precision} {workers}")

    kill_at_some_step(start(recipe, overrides, run), run, chance.uniform(0, 0.15))
    assert any(kill_while_writing(start(recipe, overrides, run), run) for _ in range(4)), "no write was caught"
    kill_at_some_step(start(recipe, overrides, run), run, chance.uniform(0, 0.15))
    assert not run.model.exists()
    finish(recipe, overrides, run)
    assert not [path for path in run.path.rglob("*") if path.name.startswith((".at-work", "new-"))]

    assert_equal_runs(expected, run)
    first, second = (vit.evaluate(run.path).folder.logits("test") for run in (expected, run))
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_saves_and_says_how_to_go_on(tmp_path: Path, end: signal.Signals) -> None:
    run = RunFolder(tmp_path / "run")
    training = Vit("train", "digits_vit", "schedule.epochs=12", "model.depth=1", "--out", str(run.path))
    wait_for(training.process, run.metrics.exists)
    training.send(end)
    status, errors = training.end()
    assert status == 130
    assert "stopping after this step" in errors
    assert (
        f"continue with:\n  vit train digits_vit schedule.epochs=12 model.depth=1 --out {run.path} --resume" in errors
    )
    assert "Traceback" not in errors
    saved = torch.load(run.last_checkpoint, weights_only=True)
    position = saved["position"]
    assert saved["global_step"] == position["epoch"] * 18 + position["batch"]
    assert not run.model.exists()


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_to_all_processes_of_a_training_saves(photo_root: Path, tmp_path: Path, end: signal.Signals) -> None:
    """A terminal sends Ctrl-C, and systemd and SLURM send SIGTERM, to the loading processes too."""
    run = RunFolder(tmp_path / "run")
    data = ["data.name=folder", f"data.path={photo_root}", "data.image_size=32", "data.workers=2"]
    settings = [*data, "schedule.epochs=500", "schedule.warmup_epochs=0", "training.batch_size=4"]
    training = Vit("train", "digits_vit", *settings, "--out", str(run.path), code="import os; os.setsid()")
    wait_for(training.process, run.metrics.exists)
    os.killpg(training.process.pid or 0, end)
    status, errors = training.end()
    assert status == 130 and "continue with:" in errors, errors
    assert "Traceback" not in errors and "exited unexpectedly" not in errors
    torch.load(run.last_checkpoint, weights_only=True)


def test_a_checkpoint_that_is_damaged_is_named(digits_run: RunFolder, tmp_path: Path) -> None:
    run = RunFolder(shutil.copytree(digits_run.path, tmp_path / "run"))
    run.summary.unlink()
    run.last_checkpoint.write_bytes(run.last_checkpoint.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"last.ckpt cannot be read: .*without it the run starts anew"):
        vit.train(run.recipe, out=run.path, resume=True, quiet=True)


def test_a_finished_run_goes_on_elsewhere_but_not_with_other_settings(digits_run: RunFolder) -> None:
    elsewhere = {"training.devices": 2, "data.workers": 3, "training.checkpoint_seconds": 5}
    assert vit.train(digits_run.recipe, out=digits_run.path, overrides=elsewhere, resume=True).path == digits_run.path
    with pytest.raises(UserError, match=r"other settings \(optimizer.lr, model.attention; see"):
        changed = {"optimizer.lr": 0.1, "model.attention": "se"}
        vit.train(digits_run.recipe, out=digits_run.path, overrides=changed, resume=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of two megabytes: one checkpoint fits, and not a second beside it."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1900k", "tmpfs", str(place)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_leaves_the_former_checkpoint(small_disk: Path, capfd: pytest.CaptureFixture) -> None:
    run = RunFolder(small_disk / "run")
    overrides = SMALL | {"model.depth": 1, "training.checkpoint_seconds": 0}
    with pytest.raises(UserError) as caught:
        vit.train("digits_vit", out=run.path, overrides=overrides, quiet=True)
    told = capfd.readouterr().err
    assert f"{run.last_checkpoint} could not be written: [Errno {errno.ENOSPC}] No space left on device" in told
    assert "MB free there); the former one stays, training goes on" in told
    assert "free some space, then go on with --resume from the former checkpoint" in str(caught.value)
    assert torch.load(run.last_checkpoint, weights_only=True)["global_step"] == 1
    assert [path.name for path in run.checkpoints.iterdir()] == ["last.ckpt"]

    subprocess.run(["mount", "-o", "remount,size=20m", str(small_disk)], check=True)
    vit.train("digits_vit", out=run.path, overrides=overrides, resume=True, quiet=True)
    assert vit.load(run.path).module is not None


NAN = float("nan")
FOREIGN: dict[str, tuple[Callable[[dict], Any], str]] = {
    "a list": (lambda saved: [1], "it holds a list"),
    "a tensor": (lambda saved: torch.ones(2), "it holds a Tensor"),
    "nothing": (lambda saved: {}, r"state_dict: field required"),
    "weights alone": (lambda saved: saved["state_dict"], r"state_dict: field required"),
    "another model": (
        lambda saved: saved | {"state_dict": {"model.a": torch.ones(1)}},
        "model.conv1.weight is missing",
    ),
    "another width": (
        lambda saved: saved | {"state_dict": saved["state_dict"] | {"model.fc.bias": torch.ones(3)}},
        r"model.fc.bias is \[3\], not \[10\]",
    ),
    "weights that are no numbers": (
        lambda saved: saved | {"state_dict": saved["state_dict"] | {"model.fc.bias": torch.full((10,), NAN)}},
        "model.fc.bias holds NaN or infinity",
    ),
    "no optimizer": (lambda saved: saved | {"optimizer_states": []}, "optimizer_states: "),
    "an empty optimizer": (
        lambda saved: saved | {"optimizer_states": [{"state": {}, "param_groups": [{"params": []}]}]},
        "its optimizer has groups of",
    ),
    "no position": (lambda saved: saved | {"position": [1]}, "position: "),
    "a later position": (lambda saved: saved | {"position": {"epoch": 99, "batch": 0}}, "position.epoch: 99 of 3"),
    "no loops": (lambda saved: saved | {"loops": {"fit_loop": {}}}, "loops.fit_loop.epoch_progress: is not at"),
    "negative counts": (
        lambda saved: saved | {"loops": saved["loops"] | {"test_loop": {"a": -3}}},
        r"loops.test_loop.a: should be a number of steps",
    ),
    "no scores": (lambda saved: saved | {"scores": {}}, "without validation_macro_f1 or validation_top1"),
    "no callbacks": (lambda saved: saved | {"callbacks": {}}, "callbacks.KeptWeights: field required"),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_checkpoint_that_is_not_this_runs_is_refused_and_nothing_touched(
    digits_run: RunFolder, tmp_path: Path, kind: str
) -> None:
    change, message = FOREIGN[kind]
    run = RunFolder(shutil.copytree(digits_run.path, tmp_path / "run"))
    run.summary.unlink()
    torch.save(change(torch.load(run.last_checkpoint, weights_only=True)), run.last_checkpoint)
    before = contents(run)
    with pytest.raises(UserError, match=rf"no checkpoint that this run can go on from[\s\S]*{message}"):
        vit.train(run.recipe, out=run.path, resume=True, quiet=True)
    assert contents(run) == before


def test_a_checkpoint_that_lightning_cannot_restore_is_a_message(digits_run: RunFolder, tmp_path: Path) -> None:
    run = RunFolder(shutil.copytree(digits_run.path, tmp_path / "run"))
    run.summary.unlink()
    torch.save(torch.load(run.last_checkpoint, weights_only=True) | {"lr_schedulers": [{}]}, run.last_checkpoint)
    with pytest.raises(UserError, match="cannot be gone on from"):
        vit.train(run.recipe, out=run.path, resume=True, quiet=True)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x80\x02cbuiltins\neval\n(X\x01\x00\x00\x001tR.", b"text"])
def test_a_file_that_is_no_checkpoint_is_named(digits_run: RunFolder, tmp_path: Path, content: bytes) -> None:
    run = RunFolder(shutil.copytree(digits_run.path, tmp_path / "run"))
    run.summary.unlink()
    run.last_checkpoint.write_bytes(content)
    with pytest.raises(UserError, match="last.ckpt cannot be read: ") as caught:
        vit.train(run.recipe, out=run.path, resume=True, quiet=True)
    assert "weights_only" not in str(caught.value) and "trust" not in str(caught.value)


def contents(run: RunFolder) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
