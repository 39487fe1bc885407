"""A model and a head from outside of the package do what its own do."""

from pathlib import Path

import pytest
import torch
from outside import TwoConvolutions

import vit
from vit.files import read_json
from vit.registry import MODELS

SHORT = {"schedule.epochs": 2, "schedule.warmup_epochs": 1}
RECIPE = """
data: {name: digits, image_size: 8, test_fraction: 0.25}
model: {name: two_convolutions, width: 24}
optimizer: {name: adamw, lr: 3.0e-3}
schedule: {epochs: 2, warmup_epochs: 1}
training: {batch_size: 64, precision: fp32}
"""


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipe of that model, which is in the table under its name."""
    monkeypatch.setitem(MODELS, "two_convolutions", TwoConvolutions)
    path = tmp_path / "theirs.yaml"
    path.write_text(RECIPE)
    return path


def test_it_trains_is_scored_exported_and_loaded(recipe: Path, tmp_path: Path) -> None:
    run = vit.train(recipe, out=tmp_path / "run", quiet=True)
    scores = vit.evaluate(run.path).scores
    assert scores["top1"] > 0.2 and scores["num_images"] > 300
    exported = vit.export(run.path, to="safetensors", out=tmp_path / "exported")
    images = torch.randn(4, 3, 8, 8)
    with torch.no_grad():
        assert vit.load(exported).module(images).equal(vit.load(run.path).module(images))


def test_its_head_learns_alone(recipe: Path, tmp_path: Path) -> None:
    first = vit.train(recipe, out=tmp_path / "first", quiet=True)
    changes = {"model.pretrained": str(first.path), "tuning.trainable": "head"}
    second = vit.train(recipe, out=tmp_path / "second", overrides=changes, quiet=True)
    before, after = (vit.load(run.path).module.state_dict() for run in (first, second))
    assert {name for name in before if not before[name].equal(after[name])} == {"cosine.directions.weight"}


def test_it_is_compared_in_processes_of_their_own(recipe: Path, tmp_path: Path) -> None:
    comparison = tmp_path / "both.yaml"
    comparison.write_text(f"recipes: [{recipe}, digits_resnet]\nseeds: 2\noverrides: {SHORT}\n")
    results = read_json(vit.compare(comparison, out=tmp_path / "report", quick=True) / "results.json")
    assert [(row["architecture"], row["family"]) for row in results["models"]] == [
        ("two_convolutions", "cnn"),
        ("resnet_cifar", "cnn"),
    ]
