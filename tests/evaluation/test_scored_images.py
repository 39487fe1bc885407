"""What an evaluation is of is known by the images' content, not by where they lie or what they are called."""

import shutil
from pathlib import Path

import pytest

import vit
from vit.cli import run as command_line
from vit.errors import UserError
from vit.files import read_json
from vit.run_folder import RunFolder

SETTINGS = {"data.name": "folder", "data.image_size": 16, "augment": [], "schedule.epochs": 1}
SETTINGS |= {"schedule.warmup_epochs": 0, "training.batch_size": 8, "data.workers": 0}


@pytest.fixture
def trained(photo_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """A run on `photos`, evaluated, in the folder that the test works in."""
    monkeypatch.chdir(tmp_path)
    run = vit.train("digits_resnet", out="runs/a", overrides=SETTINGS | {"data.path": "photos"})
    vit.evaluate(run.path)
    return run


def test_a_folder_that_was_moved_is_its_own_test_split_again(trained: RunFolder) -> None:
    before = read_json(trained.scores("test"))
    shutil.move("photos", "pictures")
    with pytest.raises(UserError, match="there is no photos, which runs/a was trained on; moved"):
        vit.evaluate(trained.path)
    again = vit.evaluate(trained.path, "pictures")
    assert again.scores == before and again.folder.path == trained.path


def test_images_that_it_was_trained_on_are_told_with_their_number(trained: RunFolder) -> None:
    shutil.copytree("photos", "more")
    for place in list(Path("more").iterdir()):
        shutil.copy(sorted(place.iterdir())[0], place / "a copy.jpg")
    evaluation = vit.evaluate(trained.path, "more")
    trained_on = evaluation.scores["trained_on"]
    assert 15 <= trained_on < evaluation.scores["num_images"] == 27
    assert f"{trained_on} of the 27 images are among those that the model was trained on" in str(evaluation.remark)
    assert evaluation.folder.path == Path("evaluations/a-more")


def test_an_evaluation_of_other_data_replaces_no_other(trained: RunFolder) -> None:
    for place, name in (("one", "0.png"), ("two", "2.png")):
        for folder in Path("photos").iterdir():
            (Path(place) / "photos" / folder.name).mkdir(parents=True)
            shutil.copy(folder / name, Path(place) / "photos" / folder.name / name)
    first, second = (vit.evaluate(trained.path, f"{place}/photos") for place in ("one", "two"))
    assert first.folder.path == Path("evaluations/a-photos") and second.folder.path == Path("evaluations/a-photos-2")
    assert vit.evaluate(trained.path, "one/photos").folder.path == first.folder.path
    assert read_json(first.folder.scores("test")) == first.scores
    with pytest.raises(UserError, match="is of other images or of another model, and would be lost"):
        vit.evaluate(trained.path, "two/photos", out=first.folder.path)
    with pytest.raises(UserError, match="runs/a is a run, whose own evaluation belongs there"):
        vit.evaluate(trained.path, "two/photos", out=trained.path)


def replaced(trained: RunFolder, split: str) -> str:
    """Put another image under the name of one of a split, and return the name."""
    from vit.data.sources import contents

    kept = contents.read(trained.images)
    assert kept is not None
    name = str(kept.ids[split][0])
    shutil.copy(
        next(p for p in Path("photos").rglob(f"*{Path(name).suffix}") if str(p) != f"photos/{name}"), f"photos/{name}"
    )
    return name


def test_images_replaced_under_their_names_are_noticed(trained: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    name = replaced(trained, "test")
    with pytest.raises(UserError, match="the test images of runs/a are not those that were set apart"):
        vit.evaluate(trained.path)
    trained.summary.unlink()  # as if it had not ended
    status = command_line(["train", "runs/a/recipe.yaml", "--out", "runs/a", "--resume"])
    assert status == 2 and f"{name}: another image now" in capsys.readouterr().err


def test_a_comparison_does_not_mix_images_that_changed(photo_folder: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("one.yaml").write_text("recipes: [digits_resnet]\nseeds: 1\nfractions: [1.0]\n")
    overrides = SETTINGS | {"data.path": "photos"}
    vit.compare("one.yaml", out="c", overrides=overrides, quick=True, jobs=1)
    name = replaced(RunFolder(next(Path("c/runs").glob("*/*"))), "test")
    with pytest.raises(
        UserError, match="1 image has changed since c/runs.* began; put them back, or compare anew"
    ) as told:
        vit.compare("one.yaml", out="c", overrides=overrides | {}, quick=True, jobs=1)
    assert f"{name}: another image now" in str(told.value)
