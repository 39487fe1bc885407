"""What a run kept is checked before a report stands on it: nothing that was damaged, edited or mixed up is counted."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import vit
from vit.comparison.kept_results import read_runs
from vit.comparison.plan import name_finished
from vit.errors import UserError
from vit.files import digest_of_file, read_json, write_json
from vit.run_folder import RunFolder

OTHER = "resnet_se"  # the model whose files take another's place


@pytest.fixture
def runs(report: Path, tmp_path: Path) -> dict[str, RunFolder]:
    """One seed of each of two models, to be damaged."""
    kept = {"vit": "digits_vit", OTHER: "digits_resnet_se"}
    return {
        name: RunFolder(shutil.copytree(report / "runs" / recipe / "fraction-0.6-seed-0", tmp_path / name))
        for name, recipe in kept.items()
    }


def changed_logits(run: RunFolder, split: str, **arrays: np.ndarray) -> None:
    with np.load(run.logits(split)) as kept:
        values = dict(kept) | arrays
    np.savez_compressed(run.logits(split), **values)
    scores = read_json(run.scores(split))
    write_json(run.scores(split), scores | {"logits_digest": digest_of_file(run.logits(split))})


def nan_logits(run: RunFolder, split: str) -> None:
    with np.load(run.logits(split)) as kept:
        logits = kept["logits"]
    logits[3] = np.nan
    changed_logits(run, split, logits=logits)


def edited(path: Path, **values: object) -> None:
    write_json(path, read_json(path) | values)


def labels_beyond(run: RunFolder) -> None:
    with np.load(run.logits("test")) as kept:
        changed_logits(run, "test", labels=kept["labels"] + 5)


def fewer_images(run: RunFolder) -> None:
    with np.load(run.logits("test")) as kept:
        changed_logits(run, "test", **{name: values[1:] for name, values in kept.items()})


def of_others(run: RunFolder, other: RunFolder, *kinds: str) -> None:
    for kind in kinds:
        shutil.copy(other.path / "evaluation" / f"test.{kind}", run.path / "evaluation")


DAMAGES: dict[str, Callable[[RunFolder, RunFolder], object]] = {
    "NaN logits": lambda run, other: nan_logits(run, "test"),
    "NaN logits of validation": lambda run, other: nan_logits(run, "validation"),
    "another run's logits": lambda run, other: of_others(run, other, "npz"),
    "another run's scores": lambda run, other: of_others(run, other, "json"),
    "another run's logits and scores": lambda run, other: of_others(run, other, "npz", "json"),
    "another run's model": lambda run, other: shutil.copy(other.model, run.model),
    "edited accuracy": lambda run, other: edited(run.scores("test"), top1=0.99),
    "edited confusion": lambda run, other: edited(run.scores("test"), confusion=[[1]]),
    "no classes": lambda run, other: edited(run.scores("test"), per_class=[]),
    "labels beyond the classes": lambda run, other: labels_beyond(run),
    "fewer images": lambda run, other: fewer_images(run),
    "seconds that are NaN": lambda run, other: edited(run.summary, seconds=float("nan")),
    "parameters in words": lambda run, other: edited(run.summary, parameters="many"),
    "an accuracy above 1": lambda run, other: edited(run.summary, validation_top1=45.0),
    "a processor of a list": lambda run, other: edited(run.environment, processor=["x"]),
    "metrics without rows": lambda run, other: run.metrics.write_text("epoch,seconds\n"),
    "metrics in words": lambda run, other: run.metrics.write_text("epoch,validation_top1\none,two\n"),
    "metrics cut off": lambda run, other: run.metrics.write_text("epoch,validation_top1\n1\n"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_is_refused_with_its_place(runs: dict[str, RunFolder], tmp_path: Path, damage: str) -> None:
    read_runs(name_finished([*runs.values()]))
    DAMAGES[damage](runs["vit"], runs[OTHER])
    with pytest.raises(UserError, match=f"the results of 1 run cannot be used:\n  .*{runs['vit'].path}/"):
        vit.compare([run.path for run in runs.values()], out=tmp_path / "out", quick=True)
    assert not (tmp_path / "out").exists()


KEPT = ("evaluation/test.npz", "evaluation/test.json", "evaluation/validation.npz", "evaluation/validation.json")
KEPT += ("summary.json", "environment.json", "metrics.csv", "images.npz", "recipe.yaml")


@pytest.mark.parametrize("name", KEPT)
def test_files_cut_off_or_of_something_else_are_refused(runs: dict[str, RunFolder], tmp_path: Path, name: str) -> None:
    path = runs["vit"].path / name
    whole = path.read_bytes()
    odd = [b"", b"null", b"[]", b"[" * 100_000, b'{"a": 1}', b"PK\x03\x04", b"\xff\xfe", b"\x93NUMPY\x01\x00v\x00{"]
    places = np.random.default_rng(7).integers(0, len(whole), 12)
    flipped = [whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1 :] for place in places.tolist()]
    survived = 0
    for content in [*odd, *(whole[:place] for place in places.tolist()), *flipped]:
        path.write_bytes(content)
        try:
            read_runs(name_finished([run for run in runs.values()]))
            survived += 1
        except UserError as error:
            assert str(path) in str(error) or path.name in str(error)
    assert survived <= len(flipped) + 2  # a digit that is another, the last line cut off


def test_a_comparison_goes_on_only_where_what_is_there_can_be_used(
    comparison: Path, report: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(report, tmp_path / "report"))
    first = RunFolder(folder / "runs/digits_vit/fraction-0.6-seed-0")
    edited(first.scores("test"), top1=0.99)
    before = (folder / "results.json").read_bytes()
    shutil.rmtree(folder / "runs/digits_vit/fraction-0.6-seed-1")
    with pytest.raises(UserError, match="top1 do not follow from the logits"):
        vit.compare(comparison, out=folder)
    assert (folder / "results.json").read_bytes() == before
    assert not (folder / "runs/digits_vit/fraction-0.6-seed-1").exists()


def test_what_was_remembered_and_is_damaged_is_found_out_anew(comparison: Path, report: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(report, tmp_path / "report"))
    kept = [
        *folder.glob("costs/*.json"),
        *folder.glob("audits/*.json"),
        *folder.glob("runs/*/*/evaluation/probes.json"),
    ]
    for path in kept:
        path.write_text("{")
    vit.compare(comparison, out=folder)
    assert len(kept) >= 5 and all(json.loads(path.read_text()) for path in kept)


def test_images_under_the_same_names_that_are_others_are_not_mixed(runs: dict[str, RunFolder], tmp_path: Path) -> None:
    run = runs["vit"]
    with np.load(run.images) as kept:
        values = dict(kept)
    values["digests_test"] = values["digests_test"] + np.arange(len(values["digests_test"]), dtype=np.uint64) % 2
    np.savez_compressed(run.images, **values)
    scores = read_json(run.scores("test"))
    scores.pop("images_digest")  # as it is where the images were others when the run was trained
    write_json(run.scores("test"), scores)
    with pytest.raises(UserError, match=r"\d+ test images are others for .* under the same names"):
        vit.compare([run.path for run in runs.values()], out=tmp_path / "out", quick=True)
