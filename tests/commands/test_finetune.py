"""`vit finetune` for real: small models, real images, every way to learn."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import vit
from vit import UserError
from vit.cli import run as command_line
from vit.files import read_json
from vit.planning.finetuning import of_schedule
from vit.run_folder import RunFolder

SMALL_VIT = {
    "model": {"name": "vit", "patch_size": 8, "embed_dim": 48, "depth": 3, "num_heads": 3},
    "data.image_size": 32,
    "schedule.epochs": 2,
    "schedule.warmup_epochs": 0,
}
SHORT = {"schedule.epochs": 2, "training.batch_size": 8}


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A small Vision Transformer that has seen the digits twice."""
    return vit.train("digits_vit", out=tmp_path_factory.mktemp("start") / "run", overrides=SMALL_VIT, quiet=True)


def changed(before: RunFolder, after: RunFolder) -> set[str]:
    old, new = load_file(before.model), load_file(after.model)
    assert old.keys() == new.keys()
    return {name for name in old if old[name].shape != new[name].shape or not torch.equal(old[name], new[name])}


def blocks(names: set[str]) -> set[str]:
    return {name.split(".")[1] for name in names if name.startswith("blocks")}


def test_it_needs_nothing_but_a_model_and_images(
    start: RunFolder, photo_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    status = command_line(["finetune", str(start.path), str(photo_root), "schedule.epochs=1", "--out", "run"])
    output, errors = capsys.readouterr()
    assert (status, output) == (0, "run\n"), errors
    for line in (
        "model.new_head=True   # 3 classes: ",
        "augment=[",
        "optimizer.lr=0.003",
        "schedule.epochs=1   # given",
    ):
        assert line in errors
    assert "new head in place of 10 classes" in errors
    recipe = vit.load("run").recipe
    assert recipe is not None and recipe.data.image_size == (32, 32)
    assert vit.load("run").preprocessing == vit.load(start.path).preprocessing
    assert len(vit.load("run").classes) == 3


@pytest.mark.parametrize(
    ("settings", "learned"),
    [
        ({}, {"0", "1", "2"}),
        ({"optimizer.layer_decay": 0.5}, {"0", "1", "2"}),
        ({"tuning.trainable": 1}, {"2"}),
        ({"tuning.trainable": "head"}, set()),
        ({"tuning.trainable": "lora", "tuning.lora_rank": 2}, {"0", "1", "2"}),
    ],
    ids=["everything", "layer decay", "last block", "head", "lora"],
)
def test_what_does_not_learn_stays_as_it_was(
    start: RunFolder, photo_root: Path, tmp_path: Path, settings: dict, learned: set[str]
) -> None:
    run = vit.finetune(start.path, photo_root, out=tmp_path / "run", overrides=SHORT | settings, quiet=True)
    names = changed(start, run)
    assert {"head.weight", "head.bias"} <= names
    assert blocks(names) == learned
    assert ("cls_token" in names) == (settings.get("tuning.trainable", "all") == "all")
    summary = read_json(run.summary)
    assert (summary["trainable_parameters"] < summary["parameters"]) == ("tuning.trainable" in settings)
    scores = vit.evaluate(run.path, split="validation").scores
    assert scores["top1"] == pytest.approx(summary["validation_top1"])


def test_a_convolutional_network_with_frozen_batch_norm(
    digits_run: RunFolder, photo_root: Path, tmp_path: Path
) -> None:
    overrides = SHORT | {"tuning.freeze_batch_norm": True}
    run = vit.finetune(digits_run.path, photo_root, out=tmp_path / "run", overrides=overrides, quiet=True)
    names = changed(digits_run, run)
    assert "layer1.0.conv1.weight" in names
    assert not any("bn" in name for name in names)


def test_the_resolution_is_raised_at_the_end(start: RunFolder, photo_root: Path, tmp_path: Path) -> None:
    raised = {"data.image_size": 64, "schedule.lower_image_size": 32, "schedule.raised_epochs": 1}
    run = vit.finetune(start.path, photo_root, out=tmp_path / "run", overrides=SHORT | raised, quiet=True)
    loaded = vit.load(run.path)
    assert loaded.preprocessing.image_size == (64, 64)
    assert loaded.module.get_parameter("pos_embed").shape[1] == 1 + 8 * 8


def test_the_same_classes_keep_their_head(start: RunFolder, tmp_path: Path) -> None:
    overrides = {"schedule.epochs": 1, "optimizer.lr": 1e-9, "data.fraction": 0.3}
    run = vit.finetune(start.path, "digits", out=tmp_path / "run", overrides=overrides, quiet=True)
    before, after = (load_file(folder.model)["head.weight"] for folder in (start, run))
    assert torch.allclose(before, after, atol=1e-5)


@pytest.mark.parametrize(
    ("images", "epochs", "batch_size"),
    [(100, 100, 64), (1_000, 32, 64), (5_000, 6, 64), (50_000, 10, 512), (1_281_167, 8, 512)],
)
def test_epochs_follow_the_number_of_images(images: int, epochs: int, batch_size: int) -> None:
    chosen = {choice.key: choice.value for choice in of_schedule(images, {})}
    assert (chosen["schedule.epochs"], chosen["training.batch_size"]) == (epochs, batch_size)
    assert chosen["schedule.warmup_epochs"] < epochs


def test_an_optimizer_of_timm_needs_its_learning_rate(start: RunFolder, photo_root: Path, tmp_path: Path) -> None:
    overrides = SHORT | {"optimizer.name": "timm/lion"}
    with pytest.raises(UserError, match="no learning rate of timm/lion is known here: give one, optimizer.lr="):
        vit.finetune(start.path, photo_root, out=tmp_path / "run", overrides=overrides)
    overrides |= {"optimizer.lr": 1e-4}
    run = vit.finetune(start.path, photo_root, out=tmp_path / "run", overrides=overrides, quiet=True)
    recipe = vit.load(run.path).recipe
    assert recipe is not None and recipe.optimizer.options == {}


def test_what_is_not_there_is_named(start: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="photoss is no folder, no CSV file and no dataset"):
        vit.finetune(start.path, "photoss", out=tmp_path / "run")
    with pytest.raises(UserError, match="tuning.trainable"):
        vit.finetune(start.path, "digits", out=tmp_path / "run", overrides={"tuning.trainable": "some"})
    assert not (tmp_path / "run").exists()
