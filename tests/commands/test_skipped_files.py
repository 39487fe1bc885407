"""A comparison on images of which some are broken: it ends, and its report says how many and which."""

from pathlib import Path

import pytest
from PIL import Image

import vit
from vit.errors import UserError
from vit.files import read_json
from vit.run_folder import RunFolder

RECIPES = "recipes: [digits_vit, digits_resnet]\nseeds: 1\nfractions: [1.0]\n"


@pytest.fixture
def images(tmp_path: Path, photographs: list[Path]) -> tuple[Path, list[str]]:
    """Sixty images in three classes, and the names of the three that are broken: one in twenty."""
    folder = tmp_path / "images"
    for number, photograph in enumerate(photographs[:3]):
        with Image.open(photograph) as photo:
            for i in range(20):
                path = folder / f"class-{number}" / f"{i:02}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                photo.convert("RGB").crop((i, i, i + 200, i + 160)).resize((40, 32)).save(path)
    names = ["class-0/04.jpg", "class-1/11.jpg", "class-2/19.jpg"]
    whole = (folder / names[0]).read_bytes()
    for name, content in zip(names, (whole[: len(whole) // 2], b"", b"<html>Not found</html>"), strict=True):
        (folder / name).write_bytes(content)
    return folder, names


def test_the_run_ends_and_the_report_names_them(
    images: tuple[Path, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, names = images
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "memory"))
    (tmp_path / "two.yaml").write_text(RECIPES)
    overrides = {"data.name": "folder", "data.path": str(folder), "data.image_size": 16, "data.on_error": "skip"}
    overrides |= {"schedule.epochs": 2, "schedule.warmup_epochs": 0, "training.batch_size": 8}
    place = vit.compare(tmp_path / "two.yaml", out=tmp_path / "report", overrides=overrides)
    data = read_json(place / "results.json")["data"]
    assert [row["path"] for row in data["skipped"]] == names
    assert data["training_images"] + data["validation_images"] + data["test_images"] == 57
    page, text = (place / "report.html").read_text(), (place / "report.md").read_text()
    assert "3 files that cannot be decoded were left out" in page
    for shown in (page, text):
        assert all(name in shown for name in names) and "an empty file" in shown
    run = RunFolder(next(place.glob("runs/digits_vit/*")))
    assert read_json(run.summary)["skipped_images"] == 3
    assert [line.split(",")[0] for line in run.skipped.read_text().splitlines()] == ["path", *names]


def test_without_it_the_comparison_names_them_and_writes_nothing(
    images: tuple[Path, list[str]], tmp_path: Path
) -> None:
    folder, names = images
    overrides = {"data.name": "folder", "data.path": str(folder), "data.image_size": 16}
    with pytest.raises(UserError, match="3 images cannot be read") as caught:
        vit.compare("compare_digits", out=tmp_path / "report", overrides=overrides)
    assert all(name in str(caught.value) for name in names)
    assert not (tmp_path / "report").exists()
