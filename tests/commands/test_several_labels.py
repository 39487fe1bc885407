"""Images of several labels, from a CSV file to predictions: digits that are even, prime, above five, or none of it."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

import vit
from vit.cli import run
from vit.errors import UserError
from vit.files import read_json
from vit.run_folder import RunFolder

LABELS = {"even": {0, 2, 4, 6, 8}, "prime": {2, 3, 5, 7}, "above five": {6, 7, 8, 9}}
SETTINGS = {"data.name": "csv", "training.loss": "bce", "schedule.epochs": 6, "schedule.warmup_epochs": 1}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("several")
    lines = ["path,labels"]
    for number, (pixels, digit) in enumerate(list(zip(*load_digits(return_X_y=True), strict=True))[:600]):
        Image.fromarray((pixels.reshape(8, 8) * 15).astype(np.uint8)).save(folder / f"{number}.png")
        lines.append(f"{number}.png,{'|'.join(name for name, digits in LABELS.items() if digit in digits)}")
    (folder / "labels.csv").write_text("\n".join(lines))
    return folder / "labels.csv"


@pytest.fixture(scope="module")
def trained(table: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    overrides = SETTINGS | {"data.path": str(table), "training.keep": "best", "training.class_weights": "balanced"}
    return vit.train("digits_resnet", out=tmp_path_factory.mktemp("several") / "run", overrides=overrides, quiet=True)


def test_they_are_learned_recorded_and_scored(trained: RunFolder, capsys: pytest.CaptureFixture) -> None:
    header = trained.metrics.read_text().splitlines()[0].split(",")
    assert header[-6:] == [
        f"{split}_{s}" for split in ("train", "validation") for s in ("loss", "micro_f1", "macro_f1")
    ]
    assert read_json(trained.summary)["validation_macro_f1"] > 0.7
    assert run(["evaluate", str(trained.path)]) == 0
    assert capsys.readouterr().out.startswith("mean average precision ")
    scores = read_json(trained.scores("test"))
    assert scores["mean_average_precision"] > 0.85 and scores["exact_match"] > 0.5
    assert [row["class"] for row in scores["per_class"]] == ["above five", "even", "prime"]
    with np.load(trained.logits("test")) as arrays:
        assert arrays["labels"].shape == arrays["logits"].shape == (scores["num_images"], 3)


def test_a_prediction_is_each_label_by_itself(trained: RunFolder, table: Path) -> None:
    six = next(line.split(",")[0] for line in table.read_text().splitlines() if line.endswith(",even|above five"))
    (row,) = vit.load(trained.path).predict([table.parent / six])
    said = dict(zip(row["classes"], row["probabilities"], strict=True))
    assert said["even"] > 0.5 > said["prime"] and said["above five"] > 0.5


def test_a_model_is_fine_tuned_on_them(trained: RunFolder, table: Path, tmp_path: Path) -> None:
    settings = [
        "schedule.epochs=2",
        "schedule.warmup_epochs=0",
        "tuning.trainable=head",
        "--out",
        str(tmp_path / "run"),
    ]
    assert run(["finetune", str(trained.path), str(table), *settings]) == 0
    assert read_json(tmp_path / "run" / "summary.json")["validation_macro_f1"] > 0.5
    assert vit.evaluate(tmp_path / "run", table).scores["mean_average_precision"] > 0.8


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"training.loss": "cross_entropy"}, "several labels need training.loss=bce"),
        ({"data.sampling": "balanced"}, "several labels need data.sampling=uniform"),
        ({"training.monitor": "validation_top1"}, "need training.monitor=validation_macro_f1, validation_micro_f1 or"),
    ],
)
def test_settings_for_one_label_are_refused(table: Path, tmp_path: Path, changes: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        overrides = SETTINGS | {"data.path": str(table)} | changes
        vit.train("digits_resnet", out=tmp_path / "run", overrides=overrides, quiet=True)
    assert not (tmp_path / "run").exists()


def test_what_needs_one_label_says_so(table: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="training.monitor=validation_macro_f1 is for images of several labels"):
        vit.train("digits_resnet", out=tmp_path / "a", overrides={"training.monitor": "validation_macro_f1"})
    with pytest.raises(UserError, match="a comparison judges one label an image"):
        overrides = {"data.name": "csv", "data.path": str(table), "training.loss": "bce"}
        vit.compare("compare_digits", out=tmp_path / "b", overrides=overrides)
    assert list(tmp_path.iterdir()) == []


def test_check_counts_every_label(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run(["check", str(table), "--out", str(tmp_path)])
    shown = capsys.readouterr().out
    assert all(name in shown for name in LABELS)
