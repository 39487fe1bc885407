"""What a comparison sets beside each other: recipes by their files, or variants of one."""

from pathlib import Path

import pytest

import vit
from vit.comparison.plan import plan
from vit.comparison.recipes import recipes_of
from vit.errors import UserError
from vit.files import read_json
from vit.recipe import load_comparison

ABLATION = """recipes: [digits_vit]
variants:
  as it is: {}
  mean of patches: {model.pool: mean}
  wider:
    model: {mlp_ratio: 4}
    optimizer.lr: 0.002
seeds: 2
overrides: {schedule.epochs: 2, schedule.warmup_epochs: 0, model.drop_path: 0.05, optimizer.lr: 0.001}
"""


@pytest.fixture
def ablation(tmp_path: Path) -> Path:
    path = tmp_path / "ablation.yaml"
    path.write_text(ABLATION)
    return path


def test_variants_of_one_recipe_are_models_of_their_names(ablation: Path, tmp_path: Path) -> None:
    comparison = load_comparison(ablation)
    assert [named.name for named in recipes_of(comparison)] == ["as it is", "mean of patches", "wider"]
    planned = plan(comparison, tmp_path / "out")
    assert [p.model for p in planned] == 2 * ["as it is", "mean of patches", "wider"]
    first, second, third = (p.recipe for p in planned[:3])
    assert first.model.options["drop_path"] == third.model.options["drop_path"] == 0.05, "overrides are for all"
    assert second.model.options["pool"] == "mean" and "pool" not in first.model.options
    assert third.model.options["mlp_ratio"] == 4
    assert (first.optimizer.lr, third.optimizer.lr) == (0.001, 0.002), "a variant's own settings come last"
    assert planned[1].folder.path == tmp_path / "out" / "runs" / "mean of patches" / "fraction-1-seed-0"


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("pool: mean", "pool: men", "variants.mean of patches:"),
        ("model.pool: mean", "data.fraction: 0.5", "set fractions instead"),
        ("model.pool: mean", "training.seed: 3", "set seeds instead"),
        ("mean of patches", "../elsewhere", "variants"),
        ("recipes: [digits_vit]", "recipes: [digits_vit, digits_resnet]", "variants are of one recipe; 2 are given"),
        ("{model.pool: mean}", "3", "variants"),
        ("seeds: 2", "seeds: 5000", "3 variants, 5,000 seeds and 1 fractions are 15,000 trainings"),
    ],
)
def test_mistakes_name_the_variant(ablation: Path, old: str, new: str, reason: str) -> None:
    ablation.write_text(ABLATION.replace(old, new))
    with pytest.raises(UserError) as caught:
        load_comparison(ablation)
    assert reason in str(caught.value)


def test_an_ablation_is_reported_with_what_its_variants_differ_in(ablation: Path, tmp_path: Path) -> None:
    ablation.write_text(ABLATION.replace("seeds: 2", "seeds: 2\nprotocol: own_recipe\ntrials: 2"))
    folder = vit.compare(ablation, out=tmp_path / "out", quick=True)
    results = read_json(folder / "results.json")
    assert [model["name"] for model in results["models"]] == ["as it is", "mean of patches", "wider"]
    assert {trial["model"] for trial in results["training"]["search"]["rows"]} == {
        "as it is",
        "mean of patches",
        "wider",
    }
    assert results["training"]["baseline"] == results["rivals"][0] == "as it is"
    report = (folder / "report.md").read_text()
    assert "| model.pool | – | mean | – |" in report
    vit.compare(ablation, out=tmp_path / "out", quick=True)  # nothing trains anew
    assert [model["top1"] for model in read_json(folder / "results.json")["models"]] == [
        model["top1"] for model in results["models"]
    ]
