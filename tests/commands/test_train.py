import csv
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from forked import Vit
from safetensors.torch import load_file

import vit
from vit.errors import UserError
from vit.files import read_json
from vit.run_folder import RunFolder

SHORT = {"schedule.epochs": 2, "schedule.warmup_epochs": 1, "data.fraction": 0.3}


def test_a_run_folder_holds_what_the_contract_says(digits_run: RunFolder) -> None:
    assert digits_run.recipe.is_file()
    assert digits_run.last_checkpoint.is_file()
    assert {"processor", "cores", "versions", "date", "command"} <= read_json(digits_run.environment).keys()
    summary = read_json(digits_run.summary)
    promised = {"model", "parameters", "macs", "epochs", "images_seen", "seconds", "train_images_per_second"}
    promised |= {"peak_memory_bytes", "device", "precision", "validation_top1"}
    assert promised <= summary.keys()
    assert summary["epochs"] == 3
    assert summary["images_seen"] == 3 * (summary["training_images"] // 64) * 64


def test_metrics_hold_one_row_an_epoch(digits_run: RunFolder) -> None:
    with digits_run.metrics.open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3]
    assert [int(row["images_seen"]) for row in rows] == sorted({int(row["images_seen"]) for row in rows})
    assert float(rows[-1]["validation_top1"]) == pytest.approx(read_json(digits_run.summary)["validation_top1"])
    assert float(rows[-1]["lr"]) < float(rows[0]["lr"])


def test_training_learns(digits_run: RunFolder) -> None:
    assert read_json(digits_run.summary)["validation_top1"] > 0.5


def test_the_same_recipe_gives_the_same_weights(tmp_path: Path) -> None:
    overrides = SHORT | {"mixing.mixup": 0.2, "training.ema_decay": 0.9, "model.drop_path": 0.2}
    runs = [vit.train("digits_vit", out=tmp_path / name, overrides=overrides, quiet=True) for name in ("a", "b")]
    first, second = (load_file(run.model) for run in runs)
    assert all(torch.equal(first[name], second[name]) for name in first)
    other = vit.train("digits_vit", out=tmp_path / "c", overrides=overrides | {"training.seed": 1}, quiet=True)
    assert not torch.equal(load_file(other.model)["head.weight"], first["head.weight"])


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_precisions_and_optimizers_train(tmp_path: Path, precision: str, optimizer: str) -> None:
    overrides = SHORT | {"training.precision": precision, "optimizer.name": optimizer, "training.clip_norm": 1.0}
    run = vit.train("digits_resnet", out=tmp_path / "run", overrides=overrides, quiet=True)
    assert read_json(run.summary)["precision"] == precision


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
@pytest.mark.parametrize("optimizer", ["timm/lookahead_adamw", "timm/muon", "timm/adafactorbv"])
def test_optimizers_of_timm_train_and_are_checkpointed(tmp_path: Path, precision: str, optimizer: str) -> None:
    overrides = SHORT | {"training.precision": precision, "optimizer.name": optimizer, "training.clip_norm": 1.0}
    run = vit.train("digits_vit", out=tmp_path / "run", overrides=overrides, quiet=True)
    assert read_json(run.summary)["validation_top1"] > 0.3
    assert torch.load(run.last_checkpoint, weights_only=False)["optimizer_states"][0]["state"]


def test_a_timm_model_trains(tmp_path: Path) -> None:
    overrides = SHORT | {"model": {"name": "timm/test_vit"}, "data.image_size": 32, "schedule.epochs": 2}
    run = vit.train("digits_vit", out=tmp_path / "run", overrides=overrides, quiet=True)
    assert vit.load(run.path).module(torch.zeros(1, 3, 32, 32)).shape == (1, 10)


ONE_BY_ONE = {
    "model": {"name": "resnet_cifar"},
    "data.image_size": 4,
    "schedule.epochs": 1,
    "schedule.warmup_epochs": 0,
}
ONE_BY_ONE |= {"data.fraction": 0.02, "augment": []}  # 4 pixels: the last features are 1 x 1


@pytest.mark.parametrize(
    "settings",
    [
        {"training.batch_size": 1},
        {"training.batch_size": 4, "training.accumulate": 4},
        {"training.batch_size": 2, "training.devices": 2},
        {"training.batch_size": 1, "data.image_size": 8, "schedule.lower_image_size": 4, "schedule.raised_epochs": 1},
    ],
)
def test_batches_of_one_that_a_norm_cannot_learn_from_are_refused_first(tmp_path: Path, settings: dict) -> None:
    with pytest.raises(UserError, match=r"(?s)one value a channel.*4 x 4 pixels.*a larger training\.batch_size"):
        vit.train("digits_resnet", out=tmp_path / "run", overrides=ONE_BY_ONE | settings, quiet=True)
    assert not (tmp_path / "run").exists()


def test_batches_of_one_that_can_be_learned_from_are(tmp_path: Path) -> None:
    overrides = ONE_BY_ONE | {"training.batch_size": 1, "data.image_size": 8}
    assert vit.train("digits_resnet", out=tmp_path / "large", overrides=overrides, quiet=True).model.exists()
    overrides = ONE_BY_ONE | {"training.batch_size": 1, "tuning.freeze_batch_norm": True}
    assert vit.train("digits_resnet", out=tmp_path / "frozen", overrides=overrides, quiet=True).model.exists()


def test_training_starts_from_a_model_file_and_replaces_the_head(
    digits_run: RunFolder, photo_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    overrides = {
        "model.pretrained": str(digits_run.path),
        "model.new_head": True,
        "data.name": "folder",
        "data.path": str(photo_folder),
        "data.image_size": 32,
        "training.batch_size": 8,
        "schedule.epochs": 1,
        "schedule.warmup_epochs": 0,
        "optimizer.lr": 1e-9,
    }
    run = vit.train("digits_resnet", out=tmp_path / "run", overrides=overrides)
    assert "new head in place of 10 classes" in capsys.readouterr().err
    before, after = load_file(digits_run.model), load_file(run.model)
    assert torch.allclose(before["layer1.0.conv1.weight"], after["layer1.0.conv1.weight"], atol=1e-6)


def test_wandb_logs_offline_without_an_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))
    command = [sys.executable, "-m", "vit", "train", "digits_resnet", "logging.wandb=true", "data.fraction=0.3"]
    command += ["schedule.epochs=2", "schedule.warmup_epochs=1", "--out", str(tmp_path / "run")]
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "logging offline" in shown.stderr
    (log,) = (tmp_path / "run" / "wandb").glob("offline-run-*/*.wandb")
    content = log.read_bytes()
    for logged in (b"validation_top1", b"resnet_cifar", b"lr", b"wandb/confusion_matrix/v1", b"validation_confusion"):
        assert logged in content, logged


def test_weights_of_another_architecture_are_refused(digits_run: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"does not fit vit: these weights are for model.name=resnet_cifar"):
        vit.train(
            "digits_vit",
            out=tmp_path / "run",
            overrides=SHORT | {"model.pretrained": str(digits_run.path)},
            quiet=True,
        )
    assert not (tmp_path / "run").exists()


def test_a_run_is_not_written_over(digits_run: RunFolder) -> None:
    with pytest.raises(UserError, match="--resume, or choose another --out"):
        vit.train("digits_resnet", out=digits_run.path)
    with pytest.raises(UserError, match="other settings"):
        vit.train("digits_resnet", out=digits_run.path, overrides={"schedule.epochs": 9}, resume=True)


def test_a_folder_that_is_no_run_is_not_written_into(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(UserError, match="not empty"):
        vit.train("digits_resnet", out=tmp_path)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"training.accumulate": 3}, "64 images of a step cannot be divided among 1 processes and 3 parts"),
        ({"training.strategy": "fsdp"}, "divides a model among processes, and there is one"),
        ({"data.name": "folder", "data.path": "nowhere"}, "there is no folder nowhere"),
        ({"data.name": "folder"}, "data.path is missing"),
        ({"model.patch_size": 3}, "patch_size 3 does not divide image_size"),
        ({"model.pretrained": True}, "no published weights"),
        ({"model.pretrained": "nothing.safetensors"}, "there is no file or folder nothing.safetensors"),
        ({"schedule.raised_epochs": 2}, "raised_epochs needs lower_image_size"),
        (
            {"schedule.lower_image_size": 5, "schedule.raised_epochs": 1},
            r"schedule.lower_image_size \[5, 5\] does not fit vit",
        ),
        ({"schedule.augment_ramp_epochs": 2}, "augment_ramp_epochs needs randaugment in augment"),
        ({"optimizer.name": "timm/lamp"}, "timm has no optimizer lamp; did you mean lamb"),
        ({"optimizer.name": "timm/lamb", "optimizer.betas": 0.9}, "timm/lamb fails with betas=0.9"),
        ({"tuning.trainable": 9}, "the model has 3 blocks; give at most 3"),
    ],
)
def test_a_mistake_leaves_nothing_behind(tmp_path: Path, overrides: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        vit.train("digits_vit", out=tmp_path / "run", overrides=overrides)
    assert not (tmp_path / "run").exists()


def metrics(run: RunFolder) -> list[dict[str, str]]:
    with run.metrics.open() as file:
        return list(csv.DictReader(file))


def test_parts_of_a_step_train_as_the_whole(tmp_path: Path) -> None:
    """Every epoch is one step of 128 images, in one part or in four of 32."""
    overrides = {"data.fraction": 0.11, "training.batch_size": 128, "schedule.epochs": 8, "schedule.warmup_epochs": 2}
    overrides |= {"training.ema_decay": 0.9, "training.clip_norm": 1.0, "model.depth": 2}
    runs = [
        vit.train("digits_vit", out=tmp_path / str(n), overrides=overrides | {"training.accumulate": n}, quiet=True)
        for n in (1, 4)
    ]
    whole, parts = (metrics(run) for run in runs)
    assert [row["images_seen"] for row in parts] == [str(128 * n) for n in range(1, 9)]
    for a, b in zip(whole, parts, strict=True):
        assert float(a["train_loss"]) == pytest.approx(float(b["train_loss"]), abs=1e-6)
        assert float(a["validation_loss"]) == pytest.approx(float(b["validation_loss"]), abs=1e-6)


def test_the_best_epoch_is_kept_and_patience_ends_training(tmp_path: Path) -> None:
    overrides = {"schedule.epochs": 30, "schedule.warmup_epochs": 0, "data.fraction": 0.3, "model.depth": 1}
    overrides |= {"training.keep": "best", "training.monitor": "validation_loss", "training.patience_epochs": 2}
    overrides |= {"optimizer.lr": 0.02, "training.ema_decay": 0.5}
    run = vit.train("digits_vit", out=tmp_path / "run", overrides=overrides, quiet=True)
    losses = [float(row["validation_loss"]) for row in metrics(run)]
    best = losses.index(min(losses))
    summary = read_json(run.summary)
    assert summary["kept_epoch"] == best + 1 == len(losses) - 2 < 28
    assert summary["validation_top1"] == float(metrics(run)[best]["validation_top1"])
    scores = vit.evaluate(run.path, split="validation").scores
    assert scores["nll"] == pytest.approx(losses[best], abs=1e-5)


def test_skewed_data_is_weighed_or_drawn_evenly(tmp_path: Path, photo_folder: Path) -> None:
    for name in ("5.jpg", "6.png", "7.jpg"):
        (next(photo_folder.iterdir()) / name).unlink()
    overrides = {"data.name": "folder", "data.path": str(photo_folder), "data.image_size": 32}
    overrides |= {"training.batch_size": 4, "schedule.epochs": 2, "schedule.warmup_epochs": 0}
    for n, more in enumerate(
        ({"training.class_weights": "balanced", "training.loss": "bce"}, {"data.sampling": "balanced"})
    ):
        run = vit.train("digits_resnet_se", out=tmp_path / str(n), overrides=overrides | more, quiet=True)
        assert len(metrics(run)) == 2


def test_activations_computed_again_change_nothing(tmp_path: Path) -> None:
    overrides = SHORT | {"model.drop_path": 0.2, "training.ema_decay": 0.9}
    runs = [
        vit.train(
            "digits_resnet_cbam",
            out=tmp_path / str(again),
            overrides=overrides | {"training.gradient_checkpointing": again},
            quiet=True,
        )
        for again in (False, True)
    ]
    first, second = (load_file(run.model) for run in runs)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler here")
def test_a_compiled_model_trains_and_is_saved_under_its_own_names(tmp_path: Path) -> None:
    overrides = SHORT | {"model.depth": 1, "training.compile": True}
    run = vit.train("digits_vit", out=tmp_path / "run", overrides=overrides, quiet=True)
    assert "blocks.0.attn.qkv.weight" in load_file(run.model)
    assert vit.load(run.path).module is not None


def test_a_compiler_that_is_not_there_is_told(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "vit", "train", "digits_vit", "training.compile=true"]
    environment = os.environ | {"CXX": "no-such-compiler", "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache")}
    shown = subprocess.run([*command, "--out", str(tmp_path / "run")], capture_output=True, text=True, env=environment)
    assert shown.returncode == 2
    assert "vit: training.compile: torch.compile fails here: " in shown.stderr and "compile=false" in shown.stderr
    assert not (tmp_path / "run").exists()


def test_a_step_is_divided_as_memory_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr("vit.training.memory.available_bytes", lambda device: 30_000_000)
    overrides = SHORT | {"training.accumulate": "auto"}
    run = vit.train("digits_vit", out=tmp_path / "run", overrides=overrides)
    told = next(line for line in capsys.readouterr().err.splitlines() if line.endswith("as memory needs"))
    parts = torch.load(run.last_checkpoint, weights_only=True)["parts"]
    assert 1 < parts < 64 and f"steps of 64 images in {parts} parts" in told


def test_running_out_of_memory_is_told_without_a_traceback(tmp_path: Path) -> None:
    settings = ("data.image_size=96", "training.batch_size=1024", "--out", str(tmp_path / "run"))
    training = Vit("train", "digits_vit", *settings)
    resource.prlimit(training.process.pid, resource.RLIMIT_AS, (8 * 2**30,) * 2)
    status, told = training.end()
    assert status == 2
    assert "vit: out of memory: a step of 1024 images of 96 x 96 pixels" in told
    assert "training.accumulate=auto, or 2: the step in smaller parts" in told
    assert "Traceback" not in told


def test_the_slow_weights_of_lookahead_are_validated(tmp_path: Path) -> None:
    run = vit.train(
        "digits_vit",
        out=tmp_path / "run",
        overrides=SHORT | {"optimizer.name": "timm/lookahead_adamw", "optimizer.lr": 0.002, "model.depth": 1},
        quiet=True,
    )
    expected = float(metrics(run)[-1]["validation_loss"])
    assert vit.evaluate(run.path, split="validation").scores["nll"] == pytest.approx(expected, abs=1e-5)
