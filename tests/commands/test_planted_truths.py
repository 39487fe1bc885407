"""What is known beforehand is what the report says: no difference, an unfair setting, a test image learnt by heart."""

import shutil
from pathlib import Path

import numpy as np
import pytest

import vit
from vit.errors import UserError
from vit.files import read_json, write_json
from vit.report import metrics
from vit.run_folder import RunFolder

SHORT = {"schedule.epochs": 2, "schedule.warmup_epochs": 1, "training.batch_size": 8, "data.image_size": 16}


def trained(folder: Path, name: str, data: Path, seed: int = 0, **changes) -> Path:
    settings = SHORT | {"data.name": "folder", "data.path": str(data), "training.seed": seed} | changes
    run = vit.train("digits_resnet", out=folder / name, overrides=settings, quiet=True)
    vit.evaluate(run.path, split="validation")
    vit.evaluate(run.path)
    return run.path


def rewritten(run: Path, folder: Path, change) -> Path:
    """Copy a run whose test evaluation was of other arrays: scores follow from them, and no images were noted."""
    copy = RunFolder(shutil.copytree(run, folder))
    with np.load(copy.logits("test")) as arrays:
        values = change(dict(arrays))
    np.savez_compressed(copy.logits("test"), **values)
    classes = [row["class"] for row in read_json(copy.scores("test"))["per_class"]]
    write_json(copy.scores("test"), metrics.scores(values["logits"], values["labels"], classes))
    copy.images.unlink()
    return copy.path


@pytest.fixture(scope="module")
def photos(photo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The photographs in folders of train, val and test, which share no image."""
    root = tmp_path_factory.mktemp("planted") / "photos"
    for place in sorted(photo_root.glob("*/")):
        for i, path in enumerate(sorted(place.iterdir())):
            split = ("train", "train", "val", "test")[i % 4]
            (root / split / place.name).mkdir(parents=True, exist_ok=True)
            shutil.copy(path, root / split / place.name / path.name)
    return root


@pytest.fixture(scope="module")
def run(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("runs"), "a", photos)


def told(folder: Path) -> str:
    return (folder / "report.md").read_text(encoding="utf-8")


def test_two_copies_of_a_model_do_not_differ(photos: Path, run: Path, tmp_path: Path) -> None:
    """The same model under two names: the second says in its recipe that it shows its lines more often."""
    twin = other_model(shutil.copytree(run, tmp_path / "twin"))
    results = read_json(vit.compare([run, twin], out=tmp_path / "out") / "results.json")
    (pair,) = results["pairs"]
    assert (pair["difference"], pair["p_value"], pair["winner"]) == (0, None, None)
    assert results["agreement"]["pairs"][0]["kappa"] == 1
    assert "tied in these trainings, which decides nothing: +0.0 points" in told(tmp_path / "out")


def test_labels_that_differ_are_refused(run: Path, tmp_path: Path) -> None:
    def relabel(arrays: dict) -> dict:
        labels = arrays["labels"].copy()
        labels[0] = (labels[0] + 1) % 3
        return arrays | {"labels": labels}

    with pytest.raises(UserError, match="1 test images have different labels"):
        vit.compare([run, other_model(rewritten(run, tmp_path / "other", relabel))], out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_model_that_saw_fewer_images_is_refused(run: Path, tmp_path: Path) -> None:
    fewer = rewritten(run, tmp_path / "fewer", lambda arrays: {k: v[:-1] for k, v in arrays.items()})
    with pytest.raises(UserError, match="tested on different test images"):
        vit.compare([run, other_model(fewer)], out=tmp_path / "out")


def test_another_resolution_is_flagged(photos: Path, run: Path, tmp_path: Path) -> None:
    larger = trained(tmp_path, "larger", photos, **{"data.image_size": 24})
    results = read_json(vit.compare([run, larger], out=tmp_path / "out") / "results.json")
    (row,) = [row for row in results["ledger"]["rows"] if row["key"] == "resolution"]
    assert not row["matched"] and set(row["values"].values()) == {"16 x 16", "24 x 24"}
    assert not results["ledger"]["only_models_differ"]
    assert "Not a comparison of models alone, because data.image_size differs" in told(tmp_path / "out")


def test_a_test_image_in_training_is_flagged(photos: Path, run: Path, tmp_path: Path) -> None:
    """The other model learnt from a folder in which two test images are training images, too."""
    leaky = shutil.copytree(photos, tmp_path / "leaky")
    stolen = sorted((leaky / "test").glob("*/*"))[:2]
    for path in stolen:
        shutil.copy(path, leaky / "train" / path.parent.name / f"copy-{path.name}")
    other = trained(tmp_path, "leaked", leaky)
    results = read_json(vit.compare([run, other], out=tmp_path / "out") / "results.json")
    leaks = {tuple(audit["models"]): audit["leaks"] for audit in results["data"]["audits"]}
    assert leaks == {("resnet_cifar",): 0, ("resnet_cifar_2",): 2}
    assert "2 test images are among the training images of resnet_cifar_2" in told(tmp_path / "out")


def other_model(run: Path) -> Path:
    """Let a copied run count as another model: one setting of its recipe, without any effect, is another."""
    recipe = run / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("checkpoint_seconds: ", "checkpoint_seconds: 1"))
    return run
