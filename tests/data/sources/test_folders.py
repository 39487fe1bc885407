"""Every entry of a folder of images is used, or named with its reason."""

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from vit.data.sources import datasets
from vit.data.sources.split_names import SPLITS
from vit.errors import UserError

TREES = 300
CLASSES = ("ant", "bee", "犬 [x]", 'it\'s, a "dog"', "caf\udce9", "7", "Train 9", "a\nb")
ENDINGS = (".png", ".PNG", ".jpg", ".gif", ".bmp", ".webp")
OTHERS = ("notes.txt", "labels.csv", "x.xyz", "Thumbs.db", ".DS_Store", "._a.png", "raw.psd", "old.zip", "no ending")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("pictures")
    files = [folder / f"picture{ending}" for ending in ENDINGS]
    for path in files:
        Image.new("RGB", (6, 5), (200, 40, 7)).save(path, {".jpg": "JPEG"}.get(path.suffix, path.suffix[1:].upper()))
    return files


def grow(root: Path, draw: random.Random, pictures: list[Path]) -> None:
    """Write a tree of classes, perhaps in splits, with what lies among images: files, links, hidden and odd folders."""
    splits = [
        draw.choice([name for name in SPLITS if SPLITS[name] == split]) for split in ("train", "validation", "test")
    ]
    splits = [draw.choice([name, name.upper(), name.capitalize()]) for name in splits]
    chosen = draw.choice([[""], splits[:1], splits[:2], [splits[0], splits[2]], splits])
    classes = draw.sample(CLASSES, draw.randint(2, 4))
    for split in chosen:
        litter(root / split, draw, pictures)
        for name in classes if split in chosen[:1] else classes[: draw.randint(1, len(classes))]:
            place = root / split / name
            for number in range(draw.randint(1, 3)):
                inside = place / "deeper" / "still" if draw.random() < 0.2 else place
                put(inside / f"{number:02}{draw.choice(['', ' ü', ' [1]'])}", draw, pictures)
            for folder in (place, place / "deeper"):
                litter(folder, draw, pictures)
    if chosen != [""] and draw.random() < 0.5:
        put(root / "beside" / "x", draw, pictures)


def put(path: Path, draw: random.Random, pictures: list[Path]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = draw.choice(pictures)
    target = path.with_name(path.name + picture.suffix)
    target.symlink_to(picture) if draw.random() < 0.2 else os.link(picture, target)


def litter(folder: Path, draw: random.Random, pictures: list[Path]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in draw.sample(OTHERS, draw.randint(0, 3)):
        (folder / name).write_text("no image")
    if draw.random() < 0.3:
        put(folder / draw.choice([".hidden", "@eaDir", "__MACOSX"]) / "copy", draw, pictures)
    if draw.random() < 0.2:
        (folder / "nowhere.png").symlink_to(folder / "gone.png")
    if draw.random() < 0.2:
        os.mkfifo(folder / "pipe.png")
    if draw.random() < 0.2 and folder.name not in ("", "deeper"):
        (folder / ".around").symlink_to(folder.parent)


def entries_there(root: Path, passed_over: dict[str, str]) -> set[str]:
    """Return every file, and every folder that is passed over, which counts as one; walked by another hand."""
    found = set()
    for place, folders, files in os.walk(root, followlinks=True):
        names = {name: os.path.relpath(os.path.join(place, name), root) for name in [*folders, *files]}
        whole = [name for name in folders if names[name] in passed_over]
        found |= {names[name] for name in [*files, *whole]}
        folders[:] = [name for name in folders if name not in whole]
    return found


@pytest.mark.parametrize("first", range(0, TREES, 100))
def test_entries_used_and_entries_named_are_all_that_is_there(first: int, tmp_path: Path, pictures: list[Path]) -> None:
    for seed in range(first, first + 100):
        root = tmp_path / str(seed)
        grow(root, random.Random(seed), pictures)
        source = datasets.folder(path=str(root))
        used = [name for images in source.splits.values() for name in images.ids]
        assert len(used) == len(set(used)), seed
        assert not set(used) & source.passed_over.keys(), seed
        assert set(used) | source.passed_over.keys() == entries_there(root, source.passed_over), seed
        assert all(source.passed_over.values()), seed
        shutil.rmtree(root)


def make(root: Path, picture: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(picture, root / name)
    return root


def test_a_folder_called_as_a_split_that_holds_images_is_a_class(tmp_path: Path, pictures: list[Path]) -> None:
    source = datasets.folder(path=str(make(tmp_path, pictures[0], "valid/1.png", "invalid/2.png")))
    assert source.classes == ("invalid", "valid") and set(source.splits) == {"train"}


def test_images_without_labels_beside_splits_are_told(tmp_path: Path, pictures: list[Path]) -> None:
    root = make(tmp_path, pictures[0], "train/a/1.png", "train/b/1.png", "test/1.png", "test/2.png", "bus/1.png")
    source = datasets.folder(path=str(root))
    assert set(source.splits) == {"train"}
    assert source.passed_over["test"] == "a folder of 2 files without class folders, so without labels"
    assert source.passed_over["bus"] == "a folder of 1 file beside the splits (train/)"


def test_splits_whose_names_hold_a_word_more_are_splits(tmp_path: Path, pictures: list[Path]) -> None:
    names = ("seg_train/a/1.png", "seg_train/b/1.png", "seg_test/a/2.png", "seg_test/b/2.png")
    source = datasets.folder(path=str(make(tmp_path, pictures[0], *names)))
    assert source.classes == ("a", "b") and len(source.splits["test"]) == 2


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("train/1.png", "test/2.png"), "called as splits are, and hold images but no class folders"),
        (("photos/a/1.png", "photos/b/1.png"), "photos holds 2 folders: is it the one that is meant?"),
        (("1.png", "2.png"), "2 images lie in it without a folder"),
        (
            ("val/a/1.png", "training/a/1.png", "train/a/1.png"),
            "training/ and train/ are both the train split|train/ and",
        ),
    ],
)
def test_what_no_folder_of_classes_is(
    names: tuple[str, ...], message: str, tmp_path: Path, pictures: list[Path]
) -> None:
    with pytest.raises(UserError, match=message):
        datasets.folder(path=str(make(tmp_path, pictures[0], *names)))


def test_links_to_folders_are_looked_into_once_on_a_way(tmp_path: Path, pictures: list[Path]) -> None:
    root = make(tmp_path / "d", pictures[0], "a/1.png", "b/1.png")
    make(tmp_path / "elsewhere", pictures[0], "2.png")
    (root / "a" / "more").symlink_to(tmp_path / "elsewhere")
    (root / "b" / "again").symlink_to(root)
    source = datasets.folder(path=str(root))
    assert source.splits["train"].ids == (
        "a/1.png",
        "a/more/2.png",
        "b/1.png",
        "b/again/a/1.png",
        "b/again/a/more/2.png",
    )
    assert source.passed_over == {"b/again/b": "a link to a folder around it"}


@pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("setpriv") is None, reason="needs setpriv to give up rights"
)
def test_a_folder_that_is_closed_is_named(tmp_path: Path, pictures: list[Path]) -> None:
    root = make(tmp_path / "d", pictures[0], "a/1.png", "b/1.png", "b/closed/2.png")
    (root / "b" / "closed").chmod(0)
    program = f"from vit.data.sources import datasets; print(datasets.folder(path={str(root)!r}).passed_over)"
    drop = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
    shown = subprocess.run([*drop, sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "{'b/closed': 'a folder that cannot be read (Permission denied)'}"


def test_tar_files_beside_class_folders_are_archives(tmp_path: Path, pictures: list[Path]) -> None:
    root = make(tmp_path, pictures[0], "a/1.png", "b/1.png")
    (root / "backup.tar").write_bytes(b"")
    assert datasets.named(root) == ("folder", str(root))
    assert "an archive" in datasets.folder(path=str(root)).passed_over["backup.tar"]
