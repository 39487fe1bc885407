"""A training that diverges ends at once, with what is good kept."""

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import vit
from vit.errors import UserError
from vit.run_folder import RunFolder, read_json

ABSURD = {"optimizer.name": "sgd", "optimizer.lr": 1000, "training.clip_norm": None, "training.checkpoint_seconds": 0}
ABSURD |= {"model.depth": 1}


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_an_absurd_learning_rate_ends_with_the_last_good_checkpoint(tmp_path: Path, precision: str) -> None:
    run = RunFolder(tmp_path / "run")
    settings = [f"{key}={'null' if value is None else value}" for key, value in ABSURD.items()]
    command = [sys.executable, "-m", "vit", "train", "digits_vit", f"training.precision={precision}", *settings]
    shown = subprocess.run(
        [*command, "--out", str(run.path)],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert shown.returncode == 2
    assert "Traceback" not in shown.stderr
    saved = torch.load(run.last_checkpoint, weights_only=True)
    assert saved["global_step"] > 0
    assert all(tensor.isfinite().all() for tensor in saved["state_dict"].values())
    told = read_json(run.diverged)
    assert told["step"] >= saved["global_step"]
    assert len(told["files"]) == 64 and len(set(told["files"])) == 64
    assert f"the {told['what']} step {told['step']} (epoch {told['epoch']}) {told['value']}" in shown.stderr
    assert f"learning rate {told['lr']:g}; its 64 images: {told['files'][0]}, " in shown.stderr
    assert f"kept: {run.last_checkpoint}, from before" in shown.stderr
    assert "a lower optimizer.lr (now 1000)" in shown.stderr
    assert f"training.clip_norm=1.0; training.precision=fp32 (now {precision})" in shown.stderr
    assert not run.model.exists()


def test_a_first_step_without_a_number_says_that_nothing_is_kept(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("vit.training.loss.Loss.forward", lambda self, logits, targets: logits.sum() * math.nan)
    with pytest.raises(UserError, match="the loss of step 1 .epoch 1. is nan") as caught:
        vit.train("digits_vit", out=tmp_path / "run", overrides={"model.depth": 1}, quiet=True)
    assert "no checkpoint was written before" in str(caught.value)
    assert not RunFolder(tmp_path / "run").last_checkpoint.exists()
