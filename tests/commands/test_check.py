import shutil
from pathlib import Path

import pytest
from PIL import Image

from vit.cli import run
from vit.commands.check import check, cost_in_words, show
from vit.data.sources import datasets
from vit.errors import UserError
from vit.files import read_json
from vit.recipe import load_recipe

KINDS = ("leaks", "conflicts", "copies", "near")


def test_a_recipe_is_counted_and_its_cost_estimated(tmp_path: Path) -> None:
    findings = check("digits_resnet", {"schedule.epochs": 5}, out=tmp_path)
    dataset = datasets.load(load_recipe("digits_resnet").data)
    assert findings.counts.sum(0).tolist() == [len(dataset.train), len(dataset.validation), len(dataset.test)]
    assert findings.faults == []
    assert findings.cost is not None
    assert findings.cost.epochs == 5
    assert findings.cost.seconds_per_epoch > 0
    text = show(findings)
    assert "5 epochs" in text and "all" in text


@pytest.mark.parametrize(("optimizer", "copies"), [("adamw", 4), ("sgd", 3), ("timm/lion", 3), ("timm/adan", 6)])
def test_memory_follows_the_optimizer(tmp_path: Path, optimizer: str, copies: int) -> None:
    cost = check("digits_resnet", {"optimizer.name": optimizer}, out=tmp_path).cost
    assert cost is not None
    assert cost.state_bytes == pytest.approx(copies * 4 * cost.parameters, rel=0.01)


def test_memory_follows_the_step_and_the_cache(photo_folder: Path, tmp_path: Path) -> None:
    settings = {"data.name": "folder", "data.path": str(photo_folder), "data.image_size": 16, "data.cache": "disk"}
    settings |= {"data.test_fraction": 0.25}
    costs = [
        check("digits_vit", settings | changed, out=tmp_path).cost
        for changed in (
            {"training.batch_size": 4},
            {"training.batch_size": 8},
            {"training.batch_size": 8, "training.accumulate": 2},
            {"training.batch_size": 8, "training.gradient_checkpointing": True},
        )
    ]
    four, eight, halves, recomputed = (cost.activation_bytes for cost in costs if cost)
    assert eight == 2 * four and halves == four and recomputed < eight
    assert all(cost and cost.cache_bytes == 18 * 16 * 16 * 3 for cost in costs)  # of 24, a quarter is for the test
    assert "MB for data.cache" in cost_in_words(costs[0])


def test_a_folder_is_counted_without_a_recipe(photo_folder: Path, tmp_path: Path) -> None:
    findings = check(photo_folder, out=tmp_path / "check")
    assert len(findings.classes) == 3
    assert findings.counts.sum() == len(list(photo_folder.rglob("*.*")))
    assert findings.cost is None


def test_broken_and_uneven_data_are_named(photo_folder: Path, tmp_path: Path) -> None:
    first = sorted(photo_folder.iterdir())[0]
    victim = sorted(first.glob("*.*"))[0]
    victim.write_bytes(victim.read_bytes()[:200])
    for path in sorted(first.glob("*.*"))[4:]:
        path.unlink()
    findings = check(photo_folder, out=tmp_path / "check")
    (fault,) = findings.faults
    assert fault.startswith(f"{first.name}/{victim.name}: a damaged image")
    assert any(first.name in remark for remark in findings.remarks)


def test_images_of_which_a_crop_shows_nothing_are_named(photo_folder: Path, tmp_path: Path) -> None:
    Image.new("RGB", (30_000, 1), "red").save(next(photo_folder.glob("*")) / "line.png")
    (told,) = [line for line in check(photo_folder, out=tmp_path / "out").remarks if "as long as wide" in line]
    assert told.startswith("1 image is more than 10 times as long as wide: of ") and "line.png (30,000 x 1)" in told


def test_a_missing_folder_is_refused() -> None:
    with pytest.raises(UserError, match="neither a file nor a shipped recipe"):
        check("nowhere")


def test_planted_faults_are_found_and_nothing_else(
    cifar_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    root = Path(shutil.copytree(cifar_folder, tmp_path / "images"))
    train = {path.name: sorted(path.iterdir()) for path in sorted((root / "train").iterdir())}
    for name, paths in train.items():
        (root / "val" / name).mkdir(parents=True)
        shutil.move(paths.pop(), root / "val" / name)
    shutil.copy(train["cat"][0], root / "test" / "cat" / "leak.jpg")
    shutil.copy(train["dog"][1], root / "train" / "horse" / "mislabelled.jpg")
    shutil.copy(train["frog"][2], root / "train" / "frog" / "copy.jpg")
    with Image.open(train["bird"][3]) as image:
        image.convert("RGB").save(root / "test" / "bird" / "near.jpg", quality=60)
    train["deer"][4].write_bytes(train["deer"][4].read_bytes()[:300])
    for path in (root / "test" / "truck").iterdir():
        path.unlink()
    out = tmp_path / "out"
    assert run(["check", str(root), "--out", str(out)]) == 2
    shown = capsys.readouterr()
    assert "vit: 3 to mend before training:" in shown.err and "Traceback" not in shown.err
    assert "note: no test image of: truck" in shown.out and f"{out}/check.html" in shown.out
    found = read_json(out / "check.json")
    names = {kind: [{Path(image["name"]).name for image in group} for group in found[kind]] for kind in KINDS}
    assert names == {
        "leaks": [{train["cat"][0].name, "leak.jpg"}],
        "conflicts": [{train["dog"][1].name, "mislabelled.jpg"}],
        "copies": [{train["frog"][2].name, "copy.jpg"}],
        "near": [{train["bird"][3].name, "near.jpg"}],
    }
    assert list(found["broken"]) == [train["deer"][4].relative_to(root).as_posix()]
    page = (out / "check.html").read_text()
    assert page.count("data:image/png;base64,") == 8 and "http" not in page


def test_what_will_be_skipped_is_no_fault(photo_folder: Path, tmp_path: Path) -> None:
    next(photo_folder.glob("*/2.png")).write_bytes(b"")
    overrides = {"data.name": "folder", "data.path": str(photo_folder), "data.image_size": 16, "data.on_error": "skip"}
    findings = check("digits_resnet", overrides, out=tmp_path / "out")
    assert findings.faults == [] and len(findings.broken) == 1
    assert any("1 files cannot be decoded and will be left out" in remark for remark in findings.remarks)
    assert "multiply-accumulates an image" in (tmp_path / "out" / "check.html").read_text()
