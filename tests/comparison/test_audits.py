"""What the report knows of the test images: which are copies, and of one series, however they are chained."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from vit.audit.findings import AuditReport, ImageRef
from vit.comparison import audits
from vit.comparison.audits import audited, groups_of_test
from vit.files import read_json, write_json
from vit.recipe import Data


@pytest.fixture
def images(photographs: list[Path], tmp_path: Path) -> Path:
    """Photographs of two classes in three splits; of test's, a is there twice and nearly again, b copies train's."""
    root = tmp_path / "images"
    names = iter(photographs)

    def save(source: Path, name: str, quality: int = 95) -> None:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        with Image.open(source) as photo:
            photo.convert("RGB").resize((96, 72)).save(root / name, quality=quality)

    for split in ("train", "val", "test"):
        for place in ("cat", "dog"):
            for i in range(3):
                save(next(names), f"{split}/{place}/{i}.jpg")
    save(photographs[12], "test/cat/copy.jpg")
    save(photographs[12], "test/cat/near.jpg", quality=60)
    save(photographs[0], "train/cat/again.jpg")
    save(photographs[0], "test/cat/learnt.jpg")
    save(photographs[0], "test/cat/learnt_twice.jpg", quality=60)
    return root


SERIES = [
    ["test/cat/0.jpg", "test/cat/copy.jpg", "test/cat/near.jpg"],
    ["test/cat/learnt.jpg", "test/cat/learnt_twice.jpg"],
]


def test_test_images_of_one_picture_are_one_group(images: Path, tmp_path: Path) -> None:
    data = Data(name="folder", path=str(images), image_size=(32, 32))
    found = audited(data, tmp_path / "out")
    assert found["test_groups"] == SERIES
    assert (found["test_groups_left_out"], found["leaks"], found["copies"]) == (0, 1, 1)
    assert audited(data, tmp_path / "out") == found


def test_an_audit_that_was_kept_before_is_looked_at_anew(images: Path, tmp_path: Path) -> None:
    data = Data(name="folder", path=str(images), image_size=(32, 32))
    found = audited(data, tmp_path / "out")
    (kept,) = (tmp_path / "out" / "audits").iterdir()
    write_json(kept, {key: value for key, value in found.items() if key != "test_groups"})
    assert audited(data, tmp_path / "out") == found == read_json(kept)


def test_what_validates_in_one_seed_trains_in_another(images: Path, tmp_path: Path) -> None:
    (images / "val" / "cat" / "0.jpg").write_bytes((images / "test" / "dog" / "0.jpg").read_bytes())
    data = Data(name="folder", path=str(images), image_size=(32, 32), validation_fraction=0.4)
    found = audited(data, tmp_path / "out")
    assert (found["leaks"], found["leaks_of_validation"]) == (1, 1)
    assert audited(replace(data, resample_seed=0), tmp_path / "out") == found  # validation is given
    (images / "val").rename(images / "unused")
    for path in sorted((images / "unused").glob("*/*")):
        path.rename(images / "train" / path.parent.name / f"val-{path.name}")
    shutil.rmtree(images / "unused")
    fixed = [audited(replace(data, split_seed=seed), tmp_path / "out") for seed in range(4)]
    drawn = [audited(replace(data, resample_seed=seed), tmp_path / "out") for seed in range(4)]
    assert {found["leaks"] + found["leaks_of_validation"] for found in fixed} == {2}
    assert {found["leaks_of_validation"] for found in fixed} != {0}
    assert {(found["leaks"], found["leaks_of_validation"]) for found in drawn} == {(2, 0)}


def test_groups_are_bounded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    image = lambda name: ImageRef(name, "test", "cat")  # noqa: E731
    near = [[image("a"), image("b")], [image("b"), image("c")], [image("d"), image("e")], [image("f"), image("g")]]
    findings = AuditReport((), None, None, {}, {}, [], [], [], near, [], [], tmp_path)  # type: ignore[arg-type]
    assert groups_of_test(findings) == ([["a", "b", "c"], ["d", "e"], ["f", "g"]], 0)
    monkeypatch.setattr(audits, "MOST_GROUPED", 6)
    assert groups_of_test(findings) == ([["a", "b", "c"], ["d", "e"]], 1)
