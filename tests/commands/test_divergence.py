"""A training that diverges ends at once, with what is good kept."""

import math
from pathlib import Path

import pytest
import torch
from forked import Vit

import vit
from vit.errors import UserError
from vit.files import read_json
from vit.run_folder import RunFolder

ABSURD = {"optimizer.name": "sgd", "optimizer.lr": 1000, "training.clip_norm": None, "training.checkpoint_seconds": 0}
ABSURD |= {"model.depth": 1}


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_an_absurd_learning_rate_ends_with_the_last_good_checkpoint(tmp_path: Path, precision: str) -> None:
    run = RunFolder(tmp_path / "run")
    settings = [f"{key}={'null' if value is None else value}" for key, value in ABSURD.items()]
    status, told = Vit(
        "train", "digits_vit", f"training.precision={precision}", *settings, "--out", str(run.path)
    ).end()
    assert status == 2
    assert "Traceback" not in told
    saved = torch.load(run.last_checkpoint, weights_only=True)
    assert saved["global_step"] > 0
    assert all(tensor.isfinite().all() for tensor in saved["state_dict"].values())
    found = read_json(run.diverged)
    assert found["step"] >= saved["global_step"]
    assert len(found["files"]) == 64 and len(set(found["files"])) == 64
    assert f"the {found['what']} step {found['step']} (epoch {found['epoch']}) {found['value']}" in told
    assert f"learning rate {found['lr']:g}; its 64 images: {found['files'][0]}, " in told
    assert f"kept: {run.last_checkpoint}, from before" in told
    assert "a lower optimizer.lr (now 1000)" in told
    assert f"training.clip_norm=1.0; training.precision=fp32 (now {precision})" in told
    assert not run.model.exists()


def test_a_first_step_without_a_number_says_that_nothing_is_kept(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("vit.training.loss.Loss.forward", lambda self, logits, targets: logits.sum() * math.nan)
    with pytest.raises(UserError, match="the loss of step 1 .epoch 1. is nan") as caught:
        vit.train("digits_vit", out=tmp_path / "run", overrides={"model.depth": 1}, quiet=True)
    assert "no checkpoint was written before" in str(caught.value)
    assert not RunFolder(tmp_path / "run").last_checkpoint.exists()
