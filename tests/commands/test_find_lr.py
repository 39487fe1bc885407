"""`vit find-lr`: one suggestion, its picture and its numbers."""

import csv
from pathlib import Path

import pytest

from vit.cli import run
from vit.commands.find_lr import find_lr
from vit.errors import UserError


def test_it_suggests_a_learning_rate_that_training_can_use(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out = tmp_path / "out"
    assert run(["find-lr", "digits_vit", "model.depth=1", "training.accumulate=2", "--out", str(out)]) == 0
    said, place = capsys.readouterr().out.splitlines()
    assert said.startswith("the loss falls fastest at optimizer.lr=") and said.endswith("(the recipe has 2.0e-03)")
    assert 5e-4 <= float(said.split("=")[1].split()[0]) <= 2e-2
    assert place == f"{out}/learning_rate.svg" and "falls fastest" in Path(place).read_text()
    with (out / "learning_rate.csv").open() as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    assert rows[0]["lr"] == pytest.approx(1e-6) and 50 < len(rows) <= 100
    assert rows[0]["loss"] == pytest.approx(2.303, abs=0.1)
    assert min(row["mean_loss"] for row in rows) < 2.0


def test_what_training_refuses_is_refused_with_nothing_written(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data.path: there is no folder"):
        find_lr(
            "digits_vit", out=tmp_path / "out", overrides={"data.name": "folder", "data.path": str(tmp_path / "no")}
        )
    with pytest.raises(UserError, match="from 1 to 0.1: give two above 0, the lower one first"):
        find_lr("digits_vit", out=tmp_path / "out", lowest=1, highest=0.1)
    with pytest.raises(UserError, match="one value a channel"):
        find_lr("digits_resnet", out=tmp_path / "out", overrides={"data.image_size": 4, "training.batch_size": 1})
    assert not (tmp_path / "out").exists()
