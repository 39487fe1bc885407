"""Several processes compute what one does; every image is evaluated once; runs go on in another number of them."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import vit
from vit.run_folder import RunFolder, read_json

STEPS = 20
# Each epoch is one step, so that metrics.csv holds every step's loss; 85 images of validation and 359 of test are odd.
SETTINGS = [f"schedule.epochs={STEPS}", "schedule.warmup_epochs=2", "model.depth=2", "training.batch_size=512"]
SETTINGS += ["data.fraction=0.5", "data.test_fraction=0.2", "data.validation_fraction=0.059"]
SETTINGS += ["training.ema_decay=0.9", "training.clip_norm=1.0"]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "vit"]
VIT = [sys.executable, "-m", "vit"]


def call(*command: str) -> subprocess.CompletedProcess:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    shown = subprocess.run(command, capture_output=True, text=True, timeout=240, env=environment)
    assert shown.returncode == 0, shown.stderr
    return shown


def rows(run: RunFolder, key: str) -> np.ndarray:
    with run.metrics.open() as file:
        return np.array([float(row[key]) for row in csv.DictReader(file)])


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    run = RunFolder(tmp_path_factory.mktemp("alone") / "run")
    call(*VIT, "train", "digits_vit", *SETTINGS, "--out", str(run.path))
    call(*VIT, "evaluate", str(run.path))
    return run


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    run = RunFolder(tmp_path_factory.mktemp("two") / "run")
    shown = call(*TORCHRUN, "train", "digits_vit", *SETTINGS, "--out", str(run.path))
    assert shown.stdout.split() == [str(run.path)]
    assert shown.stderr.count("fp32 on 2 cpu processes by ddp") == 1
    call(*TORCHRUN, "evaluate", str(run.path))
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


def test_processes_started_from_outside_must_be_told_where_to_write() -> None:
    shown = subprocess.run([*TORCHRUN, "train", "digits_vit"], capture_output=True, text=True, timeout=120)
    assert "vit: several processes write one run: say where with --out DIR" in shown.stderr


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_a_run_of_two_processes_stops_saves_and_goes_on_in_two_or_one(
    alone: RunFolder, tmp_path: Path, strategy: str
) -> None:
    run = RunFolder(tmp_path / "run")
    command = [*VIT, "train", "digits_vit", *SETTINGS, "--out", str(run.path)]
    in_two = [*command, "training.devices=2", f"training.strategy={strategy}", "training.checkpoint_seconds=0"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(in_two, stderr=subprocess.PIPE, text=True, env=environment)
    stop_after(process, run, steps=1)
    if strategy == "fsdp":  # on in two, and again stopped
        process = subprocess.Popen([*in_two, "--resume"], stderr=subprocess.PIPE, text=True, env=environment)
        stop_after(process, run, steps=torch.load(run.last_checkpoint, weights_only=True)["global_step"] + 1)
        call(*in_two, "--resume")
    else:
        call(*command, "--resume")
    assert np.abs(rows(alone, "train_loss") - rows(run, "train_loss")).max() <= 1e-5
    assert np.array_equal(rows(alone, "validation_top1"), rows(run, "validation_top1"))
    assert vit.evaluate(run.path).scores["top1"] == read_json(alone.scores("test"))["top1"]


def stop_after(process: subprocess.Popen, run: RunFolder, steps: int) -> None:
    """Send SIGTERM to the first process when so many steps are saved; both must end, and tell how to go on."""
    deadline = time.monotonic() + 120
    while not run.last_checkpoint.exists() or saved_steps(run) < steps:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert errors.count("interrupted; continue with:") == 1
    assert "Traceback" not in errors
    assert not run.model.exists()


def saved_steps(run: RunFolder) -> int:
    return torch.load(run.last_checkpoint, weights_only=True)["global_step"]
