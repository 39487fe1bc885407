"""A comparison by folds: every image is tested once by each model and seed, and copies are never parted."""

import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import vit
from vit.comparison.audits import audited
from vit.comparison.folds import chains, grouped, near_groups
from vit.comparison.kept_results import read_runs
from vit.comparison.plan import name_finished, plan
from vit.comparison.search import trials_of
from vit.data.sources import datasets
from vit.errors import UserError
from vit.files import read_csv, read_json
from vit.recipe import Comparison, Data, load_comparison
from vit.recipe.values import read_yaml
from vit.report.folds import joined_folds
from vit.run_folder import RunFolder

FOLDS, SEEDS = 3, 1
MODELS = ("digits_resnet", "digits_resnet_se")
SHORT = {"schedule.epochs": 1, "schedule.warmup_epochs": 0, "training.batch_size": 8, "data.image_size": 16}
COPIES = [("cat/00.png", "cat/copy.png"), ("dog/03.png", "dog/near.png"), ("dog/near.png", "cat/like_a_dog.png")]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of eleven drawn pictures each, with a copy, a near-copy, and one of these under the other label."""
    root = tmp_path_factory.mktemp("images") / "pets"
    draw = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (root / name).mkdir(parents=True)
        for i in range(11):
            coarse = Image.fromarray(draw.integers(0, 256, (6, 6, 3), dtype=np.uint8))
            coarse.resize((48, 48), Image.Resampling.BICUBIC).save(root / name / f"{i:02}.png")
    shutil.copy(root / "cat" / "00.png", root / "cat" / "copy.png")
    with Image.open(root / "dog" / "03.png") as dog:
        dog.resize((40, 40), Image.Resampling.BICUBIC).save(root / "dog" / "near.png")
        dog.resize((56, 56), Image.Resampling.BICUBIC).save(root / "cat" / "like_a_dog.png")
    return root


def comparison_of(images: Path, **settings) -> Comparison:
    overrides = SHORT | {"data.name": "folder", "data.path": str(images)}
    given = {"recipes": list(MODELS), "seeds": SEEDS, "folds": FOLDS, "overrides": overrides} | settings
    return Comparison(**given)


def compared(comparison: Comparison, out: Path, quick: bool = False) -> Path:
    source = out.with_suffix(".yaml")
    source.write_text(comparison.to_yaml())
    return vit.compare(source, out=out, quick=quick)


@pytest.fixture(scope="module")
def carried_out(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a comparison by three folds; not to be changed."""
    return compared(comparison_of(images), tmp_path_factory.mktemp("folds") / "out")


def names_tested(folder: Path, model: str, seed: int) -> list[list[str]]:
    places = [folder / "runs" / model / f"fraction-1-seed-{seed}-fold-{fold}" for fold in range(FOLDS)]
    return [np.load(RunFolder(place).logits("test"))["ids"].tolist() for place in places]


def test_every_image_is_tested_once_by_each_model_and_seed(carried_out: Path, images: Path) -> None:
    names = sorted(path.relative_to(images).as_posix() for path in images.glob("*/*"))
    partitions = [names_tested(carried_out, model, seed) for model in MODELS for seed in range(SEEDS)]
    for parts in partitions:
        assert sorted(name for part in parts for name in part) == names
        assert parts == partitions[0], "all are paired on the same folds"
    sizes = list(map(len, partitions[0]))
    assert max(sizes) - min(sizes) <= 2
    for part in partitions[0]:
        of_class = Counter(name.split("/")[0] for name in part)
        assert max(of_class.values()) - min(of_class.values()) <= 3


def test_planted_copies_are_never_in_two_folds(carried_out: Path, images: Path) -> None:
    for seed in range(SEEDS):
        fold = {name: k for k, part in enumerate(names_tested(carried_out, MODELS[0], seed)) for name in part}
        assert all(fold[one] == fold[other] for one, other in COPIES)
        for k in range(FOLDS):
            folder = RunFolder(carried_out / "runs" / MODELS[0] / f"fraction-1-seed-{seed}-fold-{k}")
            kept = np.load(folder.images)
            for one, other in COPIES:
                homes = [split for split in ("train", "validation", "test") if {one, other} & {*kept[f"ids_{split}"]}]
                assert len(homes) == 1, "validation parts no group either"
    found = {frozenset(group) for group in near_groups(Data(name="folder", path=str(images), image_size=(16, 16)))}
    assert found == {frozenset(COPIES[0]), frozenset(COPIES[1] + COPIES[2])}
    rows = read_csv(carried_out / "groups.csv")
    assert {row["image"] for row in rows} == {name for pair in COPIES for name in pair}


def test_the_report_is_of_all_images_and_says_how(carried_out: Path, images: Path) -> None:
    results = read_json(carried_out / "results.json")
    assert results["data"]["test_images"] == 25 and results["data"]["test_clusters"] == 22
    assert results["training"]["folds"] == FOLDS and results["training"]["runs"] == 2 * SEEDS * FOLDS
    assert [len(model["top1"]["seeds"]) for model in results["models"]] == [SEEDS] * 2
    (audit,) = results["data"]["audits"]
    assert (audit["leaks"], audit["near_across_splits"], audit["conflicts"]) == (0, 0, 0)
    rows = {row["key"]: row for row in results["ledger"]["rows"]}
    assert set(rows["folds"]["values"].values()) == {"3: every image tested once"}
    assert results["ledger"]["only_models_differ"]
    assert len(results["robustness"]) == 2 and results["robustness"][0]["images"] == 25
    for page in ("report.md", "report.html"):
        text = (carried_out / page).read_text()
        assert "3 folds: every image was tested once by each model and seed" in text
        assert "Nadeau and Bengio" in text


def test_accuracies_are_those_of_the_folds_together(carried_out: Path) -> None:
    planned = name_finished([RunFolder(path) for path in sorted(carried_out.glob("runs/*/*"))])
    runs = read_runs(planned)
    together = joined_folds(runs)
    assert len(runs) == 2 * SEEDS * FOLDS and len(together) == 2 * SEEDS
    whole = together[0]
    parts = [run for run in runs if (run.model, run.seed) == (whole.model, whole.seed)]
    assert whole.correct().sum() == sum(run.correct().sum() for run in parts)
    assert np.trace(whole.scores["confusion"]) == whole.correct().sum()
    assert np.sum(whole.scores["confusion"]) == 25
    assert whole.summary["seconds"] == pytest.approx(np.mean([run.summary["seconds"] for run in parts]))
    assert whole.validation is not None and whole.probes is not None
    assert len(whole.validation[1]) == sum(run.summary["validation_images"] for run in parts)
    seen = whole.probes["robustness"]
    assert len(seen["right"]) == 25 and seen["clean"] == pytest.approx(np.mean(seen["right"]))


def test_a_missing_fold_is_named_and_runs_of_one_fold_are_taken(carried_out: Path, tmp_path: Path) -> None:
    folders = sorted(carried_out.glob("runs/*/*"))
    gone = carried_out / "runs" / MODELS[0] / "fraction-1-seed-0-fold-0"
    with pytest.raises(UserError, match=r"some folds are missing; .*\n  resnet_cifar, fraction 1, seed 0: fold 0"):
        vit.compare([path for path in folders if path != gone], out=tmp_path / "less")
    of_one = name_finished([RunFolder(folder) for folder in folders if folder.name.endswith("fold-1")])
    assert [run.folds for run in joined_folds(read_runs(of_one))] == [None, None]
    copy = Path(shutil.copytree(gone, tmp_path / "twice"))
    with pytest.raises(UserError, match="are the same training"):
        name_finished([RunFolder(gone), RunFolder(copy)])


def test_it_goes_on_where_it_stopped(carried_out: Path, images: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(carried_out, tmp_path / "out"))
    models = sorted(folder.glob("runs/*/*/model.safetensors"))
    written = [path.stat().st_mtime_ns for path in models]
    shutil.rmtree(models.pop().parent)
    compared(comparison_of(images), folder, quick=True)
    assert [path.stat().st_mtime_ns for path in models] == written[:-1]


def test_every_fold_is_planned_and_the_search_is_on_the_first(images: Path, tmp_path: Path) -> None:
    comparison = comparison_of(images, seeds=2, fractions=[1.0, 0.5], protocol="own_recipe", trials=2)
    planned = plan(comparison, tmp_path)
    assert len({p.folder.path for p in planned}) == len(planned) == 2 * 2 * 2 * FOLDS
    assert Counter(p.recipe.data.fold for p in planned) == dict.fromkeys(range(FOLDS), 2 * 2 * 2)
    assert {p.recipe.data.fold for p in trials_of(comparison, tmp_path)} == {0}
    assert {p.fold for p in plan(replace(comparison, folds=None), tmp_path)} == {None}


def test_groups_of_the_user_are_left_as_they_are(images: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.csv"
    own.write_text("image,group\n")
    comparison = comparison_of(images)
    comparison.overrides["data.groups"] = str(own)
    assert grouped(comparison, tmp_path / "out") is comparison
    assert not (tmp_path / "out").exists()
    section = plan(comparison, tmp_path)[0].recipe.data
    tested, fold = datasets.tested_in_folds(section)
    homes = dict(zip(tested.ids, fold.tolist(), strict=True))
    found = audited(section, tmp_path)
    parted = homes["cat/00.png"] != homes["cat/copy.png"]
    assert found["leaks"] == 2 * parted
    assert found["copies"] == (not parted) and len(found["test_groups"]) == 2


def test_what_cannot_be_cut_into_folds_is_refused_before_anything_is_written(images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(UserError, match="folds is 20: 20 images or more are needed in every class"):
        grouped(comparison_of(images, folds=20), out)
    for split in ("train", "test"):
        (tmp_path / "split").mkdir(exist_ok=True)
        (tmp_path / "split" / split).symlink_to(images)
    with pytest.raises(UserError, match="has a test split of its own"):
        grouped(comparison_of(tmp_path / "split"), out)
    recipe = tmp_path / "own_folds.yaml"
    values = read_yaml(Path(vit.__file__).parents[1] / "recipes" / "digits_resnet.yaml")
    values["data"] |= {"folds": 5, "fold": 1}
    recipe.write_text(json.dumps(values))
    with pytest.raises(UserError, match="folds is 3, and data.folds of own_folds is given"):
        grouped(comparison_of(images, recipes=[str(recipe)]), out)
    source = tmp_path / "varied.yaml"
    source.write_text("recipes: [digits_resnet]\noverrides: {data.fold: 1}\n")
    with pytest.raises(UserError, match=r"data\.fold is what a comparison varies; set folds instead"):
        load_comparison(source)
    assert not out.exists()


def test_chains_join_what_others_join() -> None:
    assert chains([(0, 1), (4, 1), (2, 5)], 7) == [[0, 1, 4], [2, 5]]
    assert chains([], 3) == []
