"""`vit compare FOLDER`: planned, carried out within its time, and gone on with; nothing trained for a mistake."""

from pathlib import Path

import pytest
import yaml

from vit.cli import run as command_line
from vit.files import read_json
from vit.recipe import load_comparison, load_recipe

TINY = ["data.image_size=16", "training.batch_size=8"]


@pytest.fixture
def place(photo_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in that holds three classes of eight images, `photos`."""
    monkeypatch.chdir(tmp_path)
    photo_folder.rename(tmp_path / "photos")
    return tmp_path


@pytest.fixture(autouse=True)
def no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def compare(*arguments: str) -> int:
    return command_line(["compare", *arguments])


def test_a_folder_is_planned_compared_and_gone_on_with(place: Path, capsys: pytest.CaptureFixture) -> None:
    asked = ["photos", "--time-limit", "20m", "--models", "resnet_cifar,resnet_cifar+se", *TINY]
    assert compare(*asked, "--plan") == 0
    output, errors = capsys.readouterr()
    file = place / "comparisons" / "photos" / "plan" / "compare_photos.yaml"
    assert Path(output.strip()) == file.relative_to(place)
    assert "chosen (change any with KEY=VALUE):" in errors and "expected: " in errors
    assert not (place / "comparisons" / "photos" / "runs").exists()
    comparison = load_comparison(file)
    assert [Path(name).stem for name in comparison.recipes] == ["resnet_cifar", "resnet_cifar_se"]
    assert comparison.time_limit == "20m" and comparison.seeds == 3
    for name in comparison.recipes:
        recipe = load_recipe(name)
        assert recipe.data.image_size == (16, 16) and recipe.training.batch_size == 8
        shorter = yaml.safe_load(Path(name).read_text())
        shorter["schedule"] |= {"epochs": 2, "warmup_epochs": 0}  # read, changed, and run
        Path(name).write_text(yaml.safe_dump(shorter))
    file.write_text(file.read_text().replace("seeds: 3", "seeds: 2"))
    assert compare(*asked) == 0
    output, errors = capsys.readouterr()
    assert "goes on with the plan in" in errors and "4 trainings to do" in errors
    results = read_json(Path(output.strip()).parent / "results.json")
    assert [model["name"] for model in results["models"]] == ["resnet_cifar", "resnet_cifar_se"]
    assert all(len(model["top1"]["seeds"]) == 2 for model in results["models"])
    assert results["training"]["time_limit_seconds"] == 1200 and results["training"]["late"] == []
    assert compare("photos", "--time-limit", "30m", *TINY) == 2
    assert "was begun with other time_limit, models; to go on: vit compare photos" in capsys.readouterr().err


def test_what_does_not_fit_is_left_out_and_told(place: Path, capsys: pytest.CaptureFixture) -> None:
    (place / "short.yaml").write_text(
        "recipes: [digits_vit, digits_resnet]\nseeds: 2\nfractions: [0.3, 0.6]\n"
        "overrides: {schedule.epochs: 1, schedule.warmup_epochs: 0}\n"
    )
    assert compare("short.yaml", "--time-limit", "1s") == 0
    output, _ = capsys.readouterr()
    folder = Path(output.strip()).parent
    results = read_json(folder / "results.json")
    assert results["training"]["late"] == ["fraction 0.6, seed 1", "fraction 0.3, seeds 0, 1"]
    assert [len(model["top1"]["seeds"]) for model in results["models"]] == [1, 1]
    told = "Left out, to end within 0:01: fraction 0.6, seed 1; fraction 0.3, seeds 0, 1."
    assert told in (folder / "report.md").read_text() and told in (folder / "report.html").read_text()
    assert compare("short.yaml", "time_limit=null") == 0  # with all the time it wants, the rest is done
    assert read_json(folder / "results.json")["training"]["runs"] == 8


MISTAKES = {
    "one class": (["one"], "holds 1 class folders; two or more are needed"),
    "an image a class": (["few"], "3 images or more are needed in every class, a has 1"),
    "no images": (["none"], "holds 0 class folders"),
    "nothing there": (["nowhere"], "nowhere is neither"),
    "a time of none": (["photos", "--time-limit", "20"], "20 is no time; allowed: hours, minutes and seconds"),
    "no such models": (
        ["photos", "--models", "vit_smal,resnet50+sse,nope/x.pt"],
        "vit_smal is no model of ours; did you mean vit_small?",
    ),
    "one model": (["photos", "--models", "vit"], "a comparison needs two models or more"),
    "a model twice": (["photos", "--models", "vit,vit"], "vit is given twice"),
    "attention in a ViT": (["photos", "--models", "vit+se,resnet18"], "in our residual networks alone"),
    "no such key": (["photos", "data.pth=x"], "data.pth is not a recipe key; did you mean"),
    "a plan of a comparison": (["compare_digits", "--plan"], "--plan and --models are for images"),
}


@pytest.mark.parametrize(("arguments", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_told_before_anything_is_written(
    place: Path, capsys: pytest.CaptureFixture, arguments: list[str], message: str
) -> None:
    image = next((place / "photos").rglob("*.jpg"))
    for name in ("one/a", "few/a", "few/b", "none"):
        (place / name).mkdir(parents=True)
        if name != "none":
            (place / name / image.name).write_bytes(image.read_bytes())
    assert compare(*arguments) == 2
    output, errors = capsys.readouterr()
    assert message in errors and output == "" and "Traceback" not in errors
    assert not (place / "comparisons").exists()


def test_a_time_in_which_nothing_is_learnt_is_refused_with_one_that_would_do(
    place: Path, capsys: pytest.CaptureFixture
) -> None:
    assert compare("photos", "--time-limit", "2s", "--models", "resnet_cifar,resnet_cifar+se", *TINY) == 2
    errors = capsys.readouterr().err
    assert "are left for training and report, and one epoch of every model takes with them" in errors
    assert "; give --time-limit " in errors
    assert not (place / "comparisons" / "photos" / "runs").exists()
