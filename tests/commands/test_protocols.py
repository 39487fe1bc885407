"""A first look, and a comparison in which each model has its own recipe."""

import shutil
from pathlib import Path

import pytest

import vit
from vit.comparison import search
from vit.comparison.search import factors
from vit.errors import UserError
from vit.files import read_json
from vit.recipe.values import read_yaml

SHORT = "overrides: {schedule.epochs: 2, schedule.warmup_epochs: 1}\n"
BOTH = ("resnet", "resnet_se")  # as the report calls them
OWN = "recipes: [digits_resnet, digits_resnet_se]\nseeds: 1\nfractions: [0.3]\n"
OWN += "protocol: own_recipe\ntrials: 3\n" + SHORT


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    (folder / "own.yaml").write_text(OWN)
    return vit.compare(folder / "own.yaml", out=folder / "out")


def test_every_model_has_the_same_budget_and_starts_from_its_recipe(own: Path) -> None:
    search = read_json(own / "results.json")["training"]["search"]
    assert search["trials"] == 3
    by_model = {name: [row for row in search["rows"] if row["model"] == name] for name in BOTH}
    assert [len(rows) for rows in by_model.values()] == [3, 3]
    first, second = by_model.values()
    assert [row["lr"] for row in first] == [row["lr"] for row in second]
    assert (first[0]["lr"], first[0]["weight_decay"]) == (0.002, 0.05)
    assert len({row["lr"] for row in first}) == 3
    for rows in by_model.values():
        (chosen,) = [row for row in rows if row["chosen"]]
        assert chosen["validation_top1"] == max(row["validation_top1"] for row in rows)


def test_the_best_settings_are_those_that_are_compared(own: Path) -> None:
    search = read_json(own / "results.json")["training"]["search"]
    for row in (row for row in search["rows"] if row["chosen"]):
        run = read_json(own / "results.json")["ledger"]
        recipe = (own / "runs" / f"digits_{row['model']}" / "fraction-0.3-seed-0" / "recipe.yaml").read_text()
        assert f"lr: {row['lr']}" in recipe and f"weight_decay: {row['weight_decay']}" in recipe
        tuning = next(line for line in run["rows"] if line["key"] == "tuning")
        assert tuning["matched"] and "3 trials" in tuning["values"][row["model"]]


def test_the_search_never_reads_the_test_images(own: Path) -> None:
    evaluated = {path.name for path in (own / "search").rglob("evaluation/*")}
    assert evaluated == {"validation.json", "validation.npz"}
    recipes = [read_yaml(path) for path in (own / "search").rglob("recipe.yaml")]
    assert [recipe["training"]["seed"] for recipe in recipes] == [1_000] * 6


def test_the_factors_are_drawn_once_for_all(own: Path) -> None:
    assert factors(0) == (1, 1)
    drawn = [factors(trial) for trial in range(1, 50)]
    assert drawn == [factors(trial) for trial in range(1, 50)]
    assert all(0.1 <= value <= 10 for pair in drawn for value in pair)
    assert min(value for pair in drawn for value in pair) < 0.2 and max(value for pair in drawn for value in pair) > 5


def test_a_quick_look_trains_less_says_so_and_is_continued(tmp_path: Path) -> None:
    comparison = tmp_path / "two.yaml"
    comparison.write_text("recipes: [digits_resnet, digits_resnet_se]\nseeds: 2\nfractions: [0.2, 0.3]\n" + SHORT)
    folder = vit.compare(comparison, out=tmp_path / "out", quick=True)
    results = read_json(folder / "results.json")
    assert results["training"]["quick"] and results["training"]["seeds"] == [0]
    assert results["training"]["fractions"] == [0.3] and results["robustness"] == []
    text = (folder / "report.md").read_text()
    assert "A quick look: one seed" in text and "left out by --quick" in text and "One seed of every model" in text
    quick_model = next(folder.glob("runs/digits_resnet/*/model.safetensors"))
    written = quick_model.stat().st_mtime_ns
    whole = read_json(vit.compare(comparison, out=folder) / "results.json")
    assert quick_model.stat().st_mtime_ns == written
    assert whole["training"]["runs"] == 8 and len(whole["robustness"]) == 2


def test_a_trial_that_diverges_loses_and_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second trial has a learning rate at which the loss is no number soon."""
    text = "recipes: [digits_resnet]\nseeds: 1\nfractions: [0.3]\nprotocol: own_recipe\ntrials: 2\n" + SHORT
    (tmp_path / "own.yaml").write_text(text)
    monkeypatch.setattr(search, "factors", lambda trial: (1e30 if trial else 1.0, 1.0))
    results = read_json(vit.compare(tmp_path / "own.yaml", out=tmp_path / "out") / "results.json")
    rows = results["training"]["search"]["rows"]
    assert [(row["diverged"], row["chosen"]) for row in rows] == [(False, True), (True, False)]
    assert "| diverged |" in (tmp_path / "out" / "report.md").read_text()
    monkeypatch.setattr(search, "factors", lambda trial: (1.5, 1.0))
    with pytest.raises(UserError, match="started with other settings"):
        vit.compare(tmp_path / "own.yaml", out=tmp_path / "out")


def test_a_quick_look_at_finished_runs_needs_no_images(report: Path, tmp_path: Path) -> None:
    runs = [shutil.copytree(run, tmp_path / run.parent.name) for run in report.glob("runs/*/fraction-0.6-seed-0")]
    for run in runs:
        recipe = run / "recipe.yaml"
        text = recipe.read_text().replace("name: digits\n", "name: cifar10\n", 1)
        recipe.write_text(text.replace("path: null", "path: nowhere", 1))
    with pytest.raises(UserError, match="nowhere"):
        vit.compare(runs, out=tmp_path / "whole")
    results = read_json(vit.compare(runs, out=tmp_path / "quick", quick=True) / "results.json")
    assert len(results["models"]) == 2 and results["robustness"] == []
    assert "Not audited: left out by --quick" in (tmp_path / "quick" / "report.md").read_text()
