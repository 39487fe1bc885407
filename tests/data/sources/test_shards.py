"""Shards hold the images that they were made of; what is missing, cut short or without a class is named."""

import io
import json
import pickle
import tarfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import vit
from vit.data.sources import datasets
from vit.data.sources.shard_names import gaps, split_of
from vit.data.sources.shards import sharded
from vit.errors import UserError
from vit.files import read_csv, read_json
from vit.recipe import Data
from vit.run_folder import RunFolder

Files = Mapping[str, bytes]


def write_shard(path: Path, files: Files) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return path


def picture(level: int = 100) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (12, 10), (level % 256, 60, 20)).save(file, "PNG")
    return file.getvalue()


def sample(key: str, label: str, level: int = 100) -> Files:
    return {f"{key}.png": picture(level), f"{key}.cls": label.encode()}


def in_shards(folder: Path, root: Path, count: int, name: str = "part-{:04}.tar") -> Path:
    """Write the files of a folder into so many shards, dealt out in turn."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    for number in range(count):
        inside = {path.relative_to(folder).as_posix(): path.read_bytes() for path in files[number::count]}
        write_shard(root / name.format(number), inside)
    return root


@pytest.mark.parametrize("count", [1, 3, 5])
def test_shards_of_class_folders_hold_what_the_folders_hold(photo_folder: Path, tmp_path: Path, count: int) -> None:
    folder = datasets.folder(path=str(photo_folder))
    shards = sharded(path=str(in_shards(photo_folder, tmp_path / "shards", count)))
    ours, theirs = shards.splits["train"], folder.splits["train"]
    assert shards.classes == folder.classes and ours.ids == theirs.ids
    np.testing.assert_array_equal(ours.labels, theirs.labels)
    for i in range(len(ours)):
        np.testing.assert_array_equal(np.asarray(ours.read(i)), np.asarray(theirs.read(i)))
        parts = [images.region(i, lambda width, height: (3, 4, 30, 20), (99, 99)) for images in (ours, theirs)]
        np.testing.assert_array_equal(*parts)
    assert len(set(ours.shard_of.tolist())) == count
    some = ours.at(np.array([4, 2]))
    np.testing.assert_array_equal(np.asarray(some.read(0)), np.asarray(theirs.read(4)))
    sent = pickle.loads(pickle.dumps(some))
    np.testing.assert_array_equal(np.asarray(sent.read(1)), np.asarray(theirs.read(2)))


def test_classes_beside_the_images_and_their_names(tmp_path: Path) -> None:
    files = {**sample("a/000", "1"), **sample("a/001", "0"), "a/001.json": b"{}", "a/001.seg.png": picture()}
    files |= {"b.jpeg.txt": b"no image", "c.PNG": picture(7), "c.json": json.dumps({"width": 3, "label": 1}).encode()}
    write_shard(tmp_path / "x.tar", files)
    plain = sharded(path=str(tmp_path))
    assert plain.classes == ("0", "1")
    assert plain.splits["train"].ids == ("a/000.png", "a/001.png", "c.PNG")
    assert plain.splits["train"].labels.tolist() == [1, 0, 1]
    (tmp_path / "classes.txt").write_text("tench\ngoldfish\nshark\n")
    named = sharded(path=str(tmp_path))
    assert named.classes == ("tench", "goldfish", "shark")
    assert named.splits["train"].labels.tolist() == [1, 0, 1]


def test_numbers_are_ordered_as_numbers(tmp_path: Path) -> None:
    write_shard(tmp_path / "x.tar", {name: data for i in range(12) for name, data in sample(f"{i:03}", str(i)).items()})
    source = sharded(path=str(tmp_path))
    assert source.classes == tuple(map(str, range(12)))
    assert source.splits["train"].labels.tolist() == list(range(12))


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("imagenet-train-000123.tar", "train"),
        ("imagenet1k-validation-07.tar", "validation"),
        ("val/000.tar", "validation"),
        ("Test_3.tar", "test"),
        ("0007.tar", "train"),
        ("train/val-1.tar", "validation"),
    ],
)
def test_the_split_is_in_the_name(name: str, split: str) -> None:
    assert split_of(Path(name)) == split


def test_splits_share_the_classes_of_train(tmp_path: Path) -> None:
    write_shard(tmp_path / "train-0.tar", {**sample("a", "cat"), **sample("b", "dog")})
    write_shard(tmp_path / "val-0.tar", {**sample("c", "dog")})
    source = sharded(path=str(tmp_path))
    assert source.classes == ("cat", "dog") and source.splits["validation"].labels.tolist() == [1]
    write_shard(tmp_path / "val-1.tar", {**sample("d", "dag"), **sample("e", "dog")})
    with pytest.raises(UserError, match=r"the validation shards have classes that train has not: dag.*dog"):
        sharded(path=str(tmp_path))
    (tmp_path / "train-0.tar").unlink()
    with pytest.raises(UserError, match="holds shards of validation, and none of train"):
        sharded(path=str(tmp_path))


@pytest.mark.parametrize(
    ("there", "missing"),
    [
        (["a-000", "a-001", "a-003", "a-005"], ["a-002", "a-004"]),
        (["a-1", "a-2", "b-0", "b-2"], ["b-1"]),
        (["a-2", "a-3"], ["a-1"]),
        (["x-00001-of-00004", "x-00002-of-00004"], ["x-00000-of-00004", "x-00003-of-00004"]),
        (["a-09", "a-10", "plain", "b.2"], ["a-01", "a-02", "a-03", "a-04", "a-05", "a-06", "a-07", "a-08", "b.1"]),
    ],
)
def test_gaps_in_the_numbering_are_named(there: list[str], missing: list[str], tmp_path: Path) -> None:
    found = gaps([tmp_path / f"{name}.tar" for name in there])
    assert [path.name for path in found] == [f"{name}.tar" for name in missing]


def test_missing_shards_are_refused(tmp_path: Path) -> None:
    for number in (0, 1, 3):
        write_shard(tmp_path / f"train-{number:03}.tar", sample(f"{number}", str(number)))
    with pytest.raises(UserError, match=r"1 shard is missing:\n.*train-002.tar"):
        sharded(path=str(tmp_path))
    with pytest.raises(UserError, match=r"2 shards are missing:\n.*train-002.tar\n.*train-004.tar"):
        sharded(path=str(tmp_path / "train-{000..004}.tar"))
    chosen = sharded(path=str(tmp_path / "train-{000..001}.tar"))
    assert chosen.splits["train"].ids == ("0.png", "1.png")


def spoilt(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> Path:
    good = write_shard(tmp_path / "a-0.tar", {**sample("a", "0"), **sample("b", "1")})
    short = write_shard(tmp_path / "a-1.tar", {**sample("c", "0"), **sample("d", "1")})
    short.write_bytes(spoil(short.read_bytes()))
    assert good.exists()
    return short


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: b"",
        lambda data: data[:300],
        lambda data: data[:600],  # in the first image
        lambda data: data[:1024],  # behind it
        lambda data: data[:1300],  # in a header
        lambda data: data[: data.rindex(b"d.cls") + 512 + 512],  # all the files, and not the end
        lambda data: data[:1500] + b"\xff" * 700,
        lambda data: b"<html>" * 400,
    ],
)
def test_a_shard_cut_short_is_named(spoil: Callable[[bytes], bytes], tmp_path: Path) -> None:
    short = spoilt(tmp_path, spoil)
    with pytest.raises(UserError, match=f"{short.name}: (cut short|an empty shard)") as error:
        sharded(path=str(tmp_path))
    assert "a-0.tar" not in str(error.value)


def test_a_shard_that_is_cut_short_later_is_named(tmp_path: Path) -> None:
    shard = write_shard(tmp_path / "a.tar", {**sample("a", "0"), **sample("b", "1")})
    images = sharded(path=str(tmp_path)).splits["train"]
    shard.write_bytes(shard.read_bytes()[:1200])
    with pytest.raises(UserError, match=r"a.tar: b.png: the shard has been cut short"):
        images.read(1)


def test_an_image_that_cannot_be_decoded_is_named_with_its_shard(tmp_path: Path) -> None:
    write_shard(tmp_path / "a.tar", {**sample("a", "0"), "b.jpg": b"no image", "b.cls": b"1"})
    images = sharded(path=str(tmp_path)).splits["train"]
    with pytest.raises(UserError, match=r"1 image cannot be read.*\n.*a.tar: b.jpg: not an image"):
        datasets.check_readable(images)


def test_everything_wrong_is_told_at_once(tmp_path: Path) -> None:
    write_shard(tmp_path / "one.tar", {"a.png": picture(), "b.png": picture(), "b.cls": b"3"})
    write_shard(tmp_path / "two.tar", {"b.png": picture(), "b.cls": b"3", "c.png": picture(), "c.cls": b"1"})
    write_shard(tmp_path / "six.tar", {"b.png": picture(), "b.cls": b"3"})
    with pytest.raises(UserError) as error:
        sharded(path=str(tmp_path))
    assert "one.tar: images without a class: 1, a.png the first; give key.cls" in str(error.value)
    assert "two.tar: b.png stands in six.tar too" in str(error.value)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: None, "holds no tar file"),
        (lambda folder: (folder / "a.tar.gz").touch(), "a.tar.gz is compressed.*unpack it"),
        (lambda folder: folder.rmdir(), "there is no folder"),
    ],
)
def test_a_place_without_shards(make: Callable[[Path], object], message: str, tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    folder.mkdir()
    make(folder)
    with pytest.raises(UserError, match=message):
        sharded(path=str(folder))


def test_a_folder_of_tar_files_is_known_as_shards(tmp_path: Path) -> None:
    write_shard(tmp_path / "val" / "0.tar", sample("a", "0"))
    assert datasets.named(tmp_path) == ("shards", str(tmp_path))


def add(path: Path, entries: Iterable[tuple[tarfile.TarInfo, bytes]]) -> Path:
    with tarfile.open(path, "w") as archive:
        for entry, data in entries:
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return path


def special(name: str, kind: bytes, target: str = "") -> tuple[tarfile.TarInfo, bytes]:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, target
    return entry, b""


@pytest.mark.parametrize(
    "names",
    [
        ["photos-20240101123000", "photos-20240102"],
        ["x-999999999999999999999999999999"],
        ["a-0", "a-1", "a-5000"],
        ["a-100", "a-20240131", "a-20240201"],
    ],
)
def test_numbers_far_apart_count_nothing(names: list[str], tmp_path: Path) -> None:
    assert gaps([tmp_path / f"{name}.tar" for name in names]) == []


def test_a_numbering_of_more_shards_than_there_can_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is said to be one of 99,999,999,999 shards"):
        gaps([tmp_path / "x-1-of-99999999999.tar"])


@pytest.mark.parametrize("braces", ["{5..1}", "{000..99999999999}", "{0.." + "9" * 5_000 + "}"])
def test_braces_that_count_down_or_without_end_are_refused(braces: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="counts down, or to more than 1,000,000 shards"):
        sharded(path=str(tmp_path / f"train-{braces}.tar"))


def test_a_name_twice_in_one_shard_is_named(tmp_path: Path) -> None:
    two = [(tarfile.TarInfo(name), picture(i)) for i, name in enumerate(("cat/0.png", "dog/1.png", "./cat/0.png"))]
    add(tmp_path / "a.tar", two)
    with pytest.raises(UserError, match="a.tar: 1 names stand there more than once, cat/0.png the first"):
        sharded(path=str(tmp_path))


def test_everything_in_and_beside_shards_is_used_or_named_with_its_reason(tmp_path: Path) -> None:
    entries = [(tarfile.TarInfo(name), picture()) for name in ("cat/0.png", "dog/1.PNG", "dog/../../cat/2.png")]
    others = ("cat/3.svg", "cat/notes", "dog/.4.png", "__MACOSX/._5.png")
    entries += [(tarfile.TarInfo(name), picture()) for name in others]
    entries += [special("dog/6.png", tarfile.SYMTYPE, "1.PNG"), special("dog/7.png", tarfile.LNKTYPE, "dog/1.PNG")]
    entries += [
        special("dog/8.png", tarfile.FIFOTYPE),
        special("dog", tarfile.DIRTYPE),
        special("c.png", tarfile.CHRTYPE),
    ]
    add(tmp_path / "A.TAR", entries)
    for name in ("b.tar.gz", "read.me", ".hidden.tar", "classes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "gone.tar").symlink_to("nowhere")
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    source = sharded(path=str(tmp_path))
    assert source.splits["train"].ids == ("cat/0.png", "dog/../../cat/2.png", "dog/1.PNG")
    inside = {
        name.removeprefix("A.TAR: "): why for name, why in source.passed_over.items() if name.startswith("A.TAR: ")
    }
    assert set(inside) == {*others, "dog/6.png", "dog/7.png", "dog/8.png", "c.png"}
    assert inside["cat/3.svg"] == "no image in a format that is read (.svg)"
    assert inside["dog/6.png"] == "a link to 1.PNG, which is not followed"
    assert inside["dog/.4.png"] == inside["__MACOSX/._5.png"] == "hidden"
    beside = {name: why for name, why in source.passed_over.items() if name.removeprefix("A.TAR: ") not in inside}
    assert beside == {
        "b.tar.gz": "compressed; unpack it to .tar",
        "read.me": "no tar file",
        ".hidden.tar": "hidden",
        "gone.tar": "a link that leads nowhere, or no file",
        "link": "a link to a folder, not followed",
    }


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.json", b"[" * 100_000, "a.json is no text in UTF-8, or nests without end"),
        ("a.json", b'{"label": ' + b"9" * 5_000 + b"}", "1, a.png the first; give key.cls"),
        ("a.json", b'{"label": 1e999}', "1, a.png the first; give key.cls"),
        ("a.cls", b"caf\xe9", "a.cls is no text in UTF-8"),
        ("a.cls", b"9" * 5_000, "its label has 5,000 characters"),
        ("a.json", b" " * 1_000_001, "a.json has 1,000,001 bytes"),
    ],
)
def test_a_class_that_cannot_be_read_is_named(name: str, data: bytes, message: str, tmp_path: Path) -> None:
    write_shard(tmp_path / "a.tar", {**sample("b", "0"), **sample("c", "1"), "a.png": picture(), name: data})
    with pytest.raises(UserError, match=message):
        sharded(path=str(tmp_path))


def test_shards_without_images_of_two_classes_tell_what_they_hold(tmp_path: Path) -> None:
    write_shard(tmp_path / "a.tar", {"cat/0.svg": b"x", "dog/1.svg": b"x"})
    with pytest.raises(UserError, match="0 classes; two or more are needed\n.*passed over: a.tar: cat/0.svg: no image"):
        sharded(path=str(tmp_path))


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scanned digits as files: train/<class>/* and test/<class>/*."""
    root = tmp_path_factory.mktemp("digits")
    dataset = datasets.load(Data(name="digits", image_size=(8, 8)))
    for split in ("train", "test"):
        images = dataset.split(split)
        for i in range(len(images)):
            path = root / split / dataset.classes[images.labels[i]] / f"{images.ids[i]}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            images.read(i).save(path)
    return root


def trained(name: str, path: Path, out: Path) -> tuple[float, list[dict[str, str]]]:
    """Return the accuracy on test, and the losses of every epoch."""
    overrides = {"data.name": name, "data.path": str(path), "schedule.epochs": 4, "schedule.warmup_epochs": 1}
    run: RunFolder = vit.train("digits_resnet", out=out, overrides=overrides, quiet=True)
    columns = ("epoch", "train_loss", "validation_loss", "validation_top1")
    rows = [{name: row[name] for name in columns} for row in read_csv(run.metrics)]
    return read_json(vit.evaluate(run.path).folder.scores("test"))["top1"], rows


def test_a_run_from_shards_reaches_what_one_from_folders_reaches(digits: Path, tmp_path: Path) -> None:
    folder, rows = trained("folder", digits, tmp_path / "folder")
    few, same_rows = trained("shards", split_shards(digits, tmp_path / "few", 3), tmp_path / "few-run")
    many, other_rows = trained("shards", split_shards(digits, tmp_path / "many", 12), tmp_path / "many-run")
    assert few == folder and same_rows == rows  # three shards are mixed as a folder is
    assert other_rows != rows and abs(many - folder) < 0.03 and folder > 0.9


def split_shards(folder: Path, root: Path, count: int) -> Path:
    """Write a folder of splits into so many shards for train, and one for test, the split in every image's name too."""
    files = sorted(folder.rglob("*.png"))
    for split, number in (("train", count), ("test", 1)):
        chosen = [path for path in files if path.is_relative_to(folder / split)]
        for shard in range(number):
            dealt: Iterable[Path] = chosen[shard::number]
            inside = {path.relative_to(folder).as_posix(): path.read_bytes() for path in dealt}
            write_shard(root / f"{split}-{shard:03}.tar", inside)
    return root
