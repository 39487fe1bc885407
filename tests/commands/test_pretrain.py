"""Learning without labels, from any folder: nothing of a label is read, kills do not matter, fine-tuning goes on."""

import random
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from forked import context
from PIL import Image
from safetensors.torch import load_file

import vit
from vit.cli import run as command_line
from vit.errors import UserError
from vit.files import read_json
from vit.model import load
from vit.run_folder import RunFolder

TINY: dict[str, Any] = {
    "model.name": "vit",
    "model.patch_size": 2,
    "model.embed_dim": 32,
    "model.depth": 2,
    "model.num_heads": 2,
    "schedule.epochs": 3,
    "schedule.warmup_epochs": 1,
    "training.batch_size": 32,
}
DIGITS = TINY | {"data.name": "digits", "data.image_size": 8, "data.fraction": 0.4, "augment": ["horizontal_flip"]}
PHOTOS = TINY | {"data.image_size": 16, "model.patch_size": 4, "training.batch_size": 8}


def pretrain_alone(overrides: dict[str, Any], out: Path, resume: bool) -> None:
    torch.set_num_threads(1)
    vit.pretrain("pretrain_vit", out=out, overrides=overrides, resume=resume, quiet=True)


def same_weights(a: Path, b: Path) -> bool:
    first, second = load_file(a / "model.safetensors"), load_file(b / "model.safetensors")
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_a_run_killed_five_times_ends_as_if_nothing_had_been(tmp_path: Path) -> None:
    settings = DIGITS | {"training.checkpoint_seconds": 0}
    pretrain_alone(settings, tmp_path / "whole", resume=False)
    killed, kills = RunFolder(tmp_path / "killed"), 0
    while kills < 5 and not killed.summary.exists():
        process = context.Process(target=pretrain_alone, args=(settings, killed.path, killed.recipe.exists()))
        process.start()
        before = killed.last_checkpoint.stat().st_mtime_ns if killed.last_checkpoint.exists() else 0
        while process.is_alive() and not (
            killed.last_checkpoint.exists() and killed.last_checkpoint.stat().st_mtime_ns > before
        ):
            time.sleep(0.01)
        time.sleep(random.uniform(0, 0.05))
        process.kill()
        process.join(60)
        kills += 1
    assert kills == 5, "each step takes long enough to be met"
    pretrain_alone(settings, killed.path, resume=True)
    assert same_weights(tmp_path / "whole", killed.path)
    columns = [
        [line.split(",")[-2:] for line in (folder / "metrics.csv").read_text().splitlines()]
        for folder in (tmp_path / "whole", killed.path)
    ]
    assert columns[0] == columns[1]


SPLITS = ("train", "train", "val", "test")


def test_shuffled_labels_give_equal_weights(photo_root: Path, tmp_path: Path) -> None:
    files = sorted(photo_root.rglob("*.*"))
    classes = [path.parent.name for path in files]
    runs = []
    for name, labels in (("true", classes), ("shuffled", random.Random(0).sample(classes, len(classes)))):
        rows = zip(files, labels, SPLITS * len(files), strict=False)
        (tmp_path / f"{name}.csv").write_text("\n".join(["path,label,split", *map(",".join, map(to_text, rows))]))
        settings = PHOTOS | {"data.name": "csv", "data.path": str(tmp_path / f"{name}.csv")}
        runs.append(vit.pretrain("pretrain_vit", out=tmp_path / name, overrides=settings, quiet=True).path)
    assert same_weights(*runs)


def to_text(row: tuple[object, ...]) -> tuple[str, ...]:
    return tuple(map(str, row))


def test_absent_labels_give_equal_weights(photo_root: Path, tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        shutil.copytree(photo_root, tmp_path / "tree" / split)
    runs = []
    for name in ("folder", "unlabelled"):
        settings = PHOTOS | {"data.name": name, "data.path": str(tmp_path / "tree")}
        runs.append(vit.pretrain("pretrain_vit", out=tmp_path / name, overrides=settings, quiet=True).path)
    assert same_weights(*runs)


def test_a_flat_folder_is_learned_from_and_fine_tuned_from(photo_root: Path, tmp_path: Path, told) -> None:
    flat = tmp_path / "flat" / "deep"
    flat.mkdir(parents=True)
    for number, path in enumerate(sorted(photo_root.rglob("*.*"))):
        shutil.copy(path, flat / f"{number}{path.suffix}")
    (flat / "broken.png").write_bytes(b"no image")
    settings = {key: value for key, value in PHOTOS.items() if key != "data.image_size"}
    settings |= {"data.image_size": 16, "data.on_error": "skip", "data.validation_fraction": 0.2}
    run = vit.pretrain(tmp_path / "flat", out=tmp_path / "run", overrides=settings).path
    assert any("data.name=unlabelled" in line for line in told)
    assert any("that is few to learn from alone" in line for line in told)
    model = load(run)
    assert model.classes == ()
    with Image.open(run / "reconstructions.png") as picture:
        assert picture.size == (3 * 96 + 2 * 4, 4 * 96 + 3 * 4), "four images; masked, drawn and as they are"
    described = read_json(run / "summary.json")
    assert described["skipped_images"] == 1 and "validation_loss" in described
    with pytest.raises(UserError, match="names no classes: fine-tune it first"):
        model.predict([flat / "0.png"])
    tuned = vit.finetune(run, photo_root, out=tmp_path / "tuned", overrides={"schedule.epochs": 2}).path
    chosen = load(tuned).recipe
    assert chosen and (chosen.optimizer.name, chosen.optimizer.layer_decay) == ("adamw", 0.75)
    assert "learned without labels (masked; " in read_json(tuned / "summary.json")["start"]["notes"][0]
    assert vit.evaluate(tuned).scores["num_images"] > 0


def test_test_images_that_were_learned_from_without_labels_are_told(photo_root: Path, tmp_path: Path) -> None:
    apart = vit.pretrain(photo_root, out=tmp_path / "apart", overrides=PHOTOS, quiet=True).path
    whole = PHOTOS | {"data.name": "unlabelled", "data.path": str(photo_root)}
    leaking = vit.pretrain("pretrain_vit", out=tmp_path / "leaking", overrides=whole, quiet=True).path
    pretraining = load(apart).pretraining
    assert pretraining and (pretraining.method, pretraining.epochs) == ("masked", 3)
    remarks = []
    for run in (apart, leaking):
        tuned = vit.finetune(run, photo_root, out=tmp_path / f"tuned-{run.name}", overrides={"schedule.epochs": 1}).path
        again = vit.finetune(
            tuned, photo_root, out=tmp_path / f"again-{run.name}", overrides={"schedule.epochs": 1}
        ).path
        remarks += [vit.evaluate(tuned).remark, vit.evaluate(again).remark]
    assert remarks[:2] == [None, None], "the test images of a later training are set apart by default"
    assert all("were among those that the model's start learned from without labels" in str(r) for r in remarks[2:])


@pytest.mark.parametrize("class_token", [False, True])
def test_timm_loads_the_trunk_with_equal_features(class_token: bool, tmp_path: Path) -> None:
    settings = DIGITS | {"model.class_token": class_token, "schedule.epochs": 2}
    run = vit.pretrain("pretrain_vit", out=tmp_path / "run", overrides=settings, quiet=True).path
    folder = vit.export(run, to="timm", out=tmp_path / "timm")
    theirs = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    images = torch.randn(3, 3, 8, 8)
    with torch.no_grad():
        ours, others = load(run).module(images), theirs(images)
    assert ours.shape == (3, 32) and torch.allclose(ours, others, atol=1e-5)
    with pytest.raises(UserError, match="names no classes"):
        vit.evaluate(run)


@pytest.mark.parametrize("settings", [{}, {"model.positions": "rope"}, {"training.gradient_checkpointing": True}])
def test_patches_in_order_are_learned_too(settings: dict[str, Any], tmp_path: Path) -> None:
    overrides = DIGITS | {"pretraining.method": "autoregressive", "pretraining.normalize_targets": True} | settings
    run = vit.pretrain("pretrain_vit", out=tmp_path / "run", overrides=overrides, quiet=True).path
    losses = [float(line.split(",")[-1]) for line in (run / "metrics.csv").read_text().splitlines()[1:]]
    assert losses[-1] < losses[0] and (run / "reconstructions.png").exists()
    pretraining = load(run).pretraining
    assert pretraining and pretraining.method == "autoregressive"


def test_a_pretraining_goes_on_from_weights(tmp_path: Path) -> None:
    first = vit.pretrain("pretrain_vit", out=tmp_path / "first", overrides=DIGITS, quiet=True).path
    settings = DIGITS | {"model.pretrained": str(first), "schedule.epochs": 2, "optimizer.lr": 1e-9}
    second = vit.pretrain("pretrain_vit", out=tmp_path / "second", overrides=settings, quiet=True).path
    before, after = load_file(first / "model.safetensors"), load_file(second / "model.safetensors")
    assert all(torch.allclose(before[name], after[name], atol=1e-5) for name in before)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", "pretrain_vit", "data.path=."], "vit pretrain pretrain_vit"),
        (["pretrain", "digits_vit"], "vit train digits_vit"),
        (["compare", "compare_digits", "pretraining.method=masked"], "learns without labels: vit pretrain"),
        (["pretrain", "pretrain_vit", "pretraining.mask_ratio=1"], "mask_ratio: should be less than 1, given 1"),
        (["pretrain", "pretrain_vit", "training.loss=bce"], "reads no labels, and training.loss would"),
        (
            ["pretrain", "pretrain_vit", "pretraining.method=mask"],
            "pretraining.method: should be 'masked' or 'autoregressive', given 'mask'",
        ),
        (
            ["pretrain", "pretrain_vit", "pretraining.method=autoregressive", "pretraining.mask_ratio=0.5"],
            "pretraining: mask_ratio is of method masked, given autoregressive",
        ),
        (["pretrain", "digits_resnet", "pretraining.method=masked"], "given resnet"),
    ],
)
def test_wrong_recipes_are_told_before_anything_is_loaded(arguments: list[str], said: str, capsys) -> None:
    assert command_line(arguments) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("settings", [{"model.positions": "rope"}, {"pretraining.decoder_dim": 6}])
def test_what_only_the_model_knows_is_told_too(settings: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="pretraining: "):
        vit.pretrain("pretrain_vit", out=tmp_path / "run", overrides=DIGITS | settings)
    assert not (tmp_path / "run").exists() or not (tmp_path / "run" / "recipe.yaml").exists()
