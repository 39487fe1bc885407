"""Seeds that draw anew which images train and validate, and never which are tested."""

import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

import vit
from vit.comparison import resampling
from vit.comparison.plan import plan
from vit.comparison.resampling import has_few_images, settled
from vit.data.sources import contents
from vit.data.sources.contents import Contents
from vit.errors import UserError
from vit.files import read_json
from vit.recipe import Comparison, load_comparison, load_recipe
from vit.recipe.values import read_yaml
from vit.run_folder import RunFolder

SHORT = {"schedule.epochs": 2, "schedule.warmup_epochs": 1, "training.batch_size": 8, "data.image_size": 16}
MODELS = ("digits_resnet", "digits_resnet_se")


def comparison_of(images: Path, **settings) -> Comparison:
    overrides = SHORT | {"data.name": "folder", "data.path": str(images)}
    return Comparison(**{"recipes": ["digits_resnet"], "overrides": overrides} | settings)


def compared(comparison: Comparison, out: Path, quick: bool = False, **changes) -> dict:
    """Carry out a comparison, and return its results."""
    source = out.with_suffix(".yaml")
    source.write_text(comparison.to_yaml())
    return read_json(vit.compare(source, out=out, overrides=changes, quick=quick) / "results.json")


def images_of(folder: Path, model: str, seed: int) -> Contents:
    kept = contents.read(RunFolder(folder / "runs" / model / f"fraction-1-seed-{seed}").images)
    assert kept is not None
    return kept


@pytest.fixture(scope="module")
def images(photo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(photo_root, tmp_path_factory.mktemp("images") / "photos"))


@pytest.fixture(scope="module")
def drawn(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a comparison of few images, which nobody told to resample."""
    folder = tmp_path_factory.mktemp("drawn") / "out"
    compared(comparison_of(images, recipes=list(MODELS), seeds=2), folder)
    return folder


def test_seeds_train_on_images_of_their_own_and_test_on_the_same(drawn: Path) -> None:
    for model in MODELS:
        first, second = (images_of(drawn, model, seed) for seed in (0, 1))
        assert first.ids["test"].tolist() == second.ids["test"].tolist()
        assert set(first.ids["validation"]) != set(second.ids["validation"])
        assert not set(second.ids["test"]) & {*second.ids["train"], *second.ids["validation"]}
    alike = [images_of(drawn, model, 1).ids["validation"].tolist() for model in MODELS]
    assert alike[0] == alike[1]
    recipes = [read_yaml(path) for path in drawn.glob("runs/*/*/recipe.yaml")]
    assert len(recipes) == 4
    assert all(recipe["data"]["resample_seed"] == recipe["training"]["seed"] for recipe in recipes)


def test_the_report_knows_it(drawn: Path) -> None:
    results = read_json(drawn / "results.json")
    assert results["training"]["resampled"] is True
    assert len(results["data"]["audits"]) == 1
    ledger = results["ledger"]
    assert "data.resample_seed" not in {*ledger["matched"], *(row["key"] for row in ledger["differences"])}
    assert ledger["only_models_differ"] and (drawn / "report.md").is_file()
    assert read_yaml(drawn / "comparison.yaml")["resample"] is True


def test_it_goes_on_as_it_was_begun(images: Path, drawn: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(drawn, tmp_path / "out"))
    models = sorted(folder.glob("runs/*/*/model.safetensors"))
    written = [path.stat().st_mtime_ns for path in models]
    shutil.rmtree(models.pop().parent)
    comparison = comparison_of(images, recipes=list(MODELS), seeds=2)
    assert compared(comparison, folder)["training"]["resampled"] is True
    assert [path.stat().st_mtime_ns for path in models] == written[:3]
    with pytest.raises(UserError, match="resample is false, and .* was begun with true"):
        compared(comparison, folder, resample=False)


def test_images_that_changed_are_named_for_the_seed_that_had_them(images: Path, drawn: Path, tmp_path: Path) -> None:
    name = str(images_of(drawn, MODELS[0], 1).ids["validation"][0])
    content = (images / name).read_bytes()
    Image.new("RGB", (40, 40)).save(images / name)
    try:
        with pytest.raises(UserError, match=f"1 image has changed since .*\n.*{re.escape(name)}: another image now"):
            compared(
                comparison_of(images, recipes=list(MODELS), seeds=2), Path(shutil.copytree(drawn, tmp_path / "out"))
            )
    finally:
        (images / name).write_bytes(content)


def test_finished_seeds_are_one_model(drawn: Path, tmp_path: Path) -> None:
    results = read_json(vit.compare(sorted(drawn.glob("runs/*/*")), out=tmp_path / "out", quick=True) / "results.json")
    assert [len(model["top1"]["seeds"]) for model in results["models"]] == [2, 2]
    assert results["training"]["resampled"] is True
    run = Path(shutil.copytree(drawn / "runs" / MODELS[0] / "fraction-1-seed-0", tmp_path / "other"))
    recipe = run / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("resample_seed: 0", "resample_seed: 5"))
    with pytest.raises(UserError, match=r"differ in data\.resample_seed alone"):
        vit.compare([drawn / "runs" / MODELS[0] / "fraction-1-seed-0", run], out=tmp_path / "twice")


def test_one_model_alone_that_draws_anew_is_told_of(drawn: Path, tmp_path: Path) -> None:
    first, second = (drawn / "runs" / model / "fraction-1-seed-0" for model in MODELS)
    recipe = Path(shutil.copytree(second, tmp_path / "fixed")) / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("resample_seed: 0", "resample_seed: null"))
    results = read_json(vit.compare([first, recipe.parent], out=tmp_path / "out", quick=True) / "results.json")
    (row,) = [row for row in results["ledger"]["differences"] if row["key"] == "data.resample_seed"]
    assert set(row["values"].values()) == {0, None}
    assert not results["ledger"]["only_models_differ"] and not results["training"]["resampled"]


def test_a_comparison_begun_before_goes_on_without(images: Path, tmp_path: Path) -> None:
    """What was written before there was such a key is read, and continued, as it was."""
    comparison = comparison_of(images)
    compared(comparison, tmp_path / "out", quick=True, resample=False)
    for path in (tmp_path / "out" / "comparison.yaml", *(tmp_path / "out").glob("runs/*/*/recipe.yaml")):
        text = path.read_text()
        older = re.sub(r" *resample(_seed)?: (false|null)\n", "", text)
        assert older != text
        path.write_text(older)
    models = [path.stat().st_mtime_ns for path in (tmp_path / "out").glob("runs/*/*/model.safetensors")]
    assert compared(comparison, tmp_path / "out", quick=True)["training"]["resampled"] is False
    assert [path.stat().st_mtime_ns for path in (tmp_path / "out").glob("runs/*/*/model.safetensors")] == models
    assert read_yaml(tmp_path / "out" / "comparison.yaml")["resample"] is False
    with pytest.raises(UserError, match="resample is true, and .* was begun with false"):
        compared(comparison, tmp_path / "out", quick=True, resample=True)


@pytest.mark.parametrize("name", ["compare_digits", "compare_cifar10", "compare_cifar10_cpu"])
def test_shipped_comparisons_train_as_before(name: str, tmp_path: Path) -> None:
    comparison = settled(load_comparison(name), tmp_path)
    assert comparison.resample is False
    for p in plan(comparison, tmp_path):
        source = next(recipe for recipe in comparison.recipes if p.folder.path.parent.name == recipe)
        wanted = load_recipe(source, {"data.fraction": p.fraction, "training.seed": p.seed})
        assert p.recipe == wanted and p.recipe.data.resample_seed is None


def test_images_in_splits_or_many_are_not_drawn_anew(images: Path, tmp_path: Path, monkeypatch) -> None:
    assert has_few_images(comparison_of(images))
    for split in ("test", "val"):
        root = tmp_path / split
        shutil.copytree(images, root / "train")
        shutil.copytree(images, root / split)
        assert not has_few_images(comparison_of(root))
    monkeypatch.setattr(resampling, "FEW_IMAGES", 24)
    assert not has_few_images(comparison_of(images))
    fixed = comparison_of(images)
    fixed.overrides["data.resample_seed"] = 3
    monkeypatch.setattr(resampling, "FEW_IMAGES", 25)
    assert has_few_images(comparison_of(images)) and not has_few_images(fixed)
    assert [p.recipe.data.resample_seed for p in plan(settled(fixed, tmp_path), tmp_path)] == [3, 3, 3]


def test_what_cannot_be_drawn_is_refused(images: Path, tmp_path: Path) -> None:
    root = tmp_path / "images"
    shutil.copytree(images, root / "train")
    shutil.copytree(images, root / "val")
    with pytest.raises(UserError, match="every seed would train on the same images: .* has a validation split"):
        settled(comparison_of(root, resample=True), tmp_path)
    assert settled(comparison_of(root, resample=True, fractions=[0.5]), tmp_path).resample
    fixed = comparison_of(images, resample=True)
    fixed.overrides["data.resample_seed"] = 3
    with pytest.raises(UserError, match=r"resample is true, and data\.resample_seed is 3 in digits_resnet"):
        settled(fixed, tmp_path)
