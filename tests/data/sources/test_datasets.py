"""Splits are disjoint, complete and stable, and what is wrong with a folder is said in words."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from vit import UserError
from vit.data.sources import datasets
from vit.data.sources.datasets import Dataset, Images, check_readable
from vit.data.sources.stores import Files
from vit.recipe import Data

SPLITS = ("train", "validation", "test")


def load(name: str = "folder", path: Path | None = None, **settings) -> Dataset:
    return datasets.load(Data(name=name, path=str(path) if path else None, image_size=(8, 8), **settings))


def make_tree(root: Path, counts: dict[str, int]) -> Path:
    """Write `counts` images into every class folder; every pixel value is used once."""
    for number, (name, count) in enumerate(counts.items()):
        (root / name).mkdir(parents=True)
        for i in range(count):
            Image.new("RGB", (9, 7), (number, i, 0)).save(root / name / f"{i:03}.png")
    return root


def class_counts(dataset: Dataset) -> dict[str, list[int]]:
    return {name: np.bincount(dataset.split(name).labels, minlength=len(dataset.classes)).tolist() for name in SPLITS}


def assert_disjoint(dataset: Dataset) -> set[str]:
    """Check that no image is in two splits, and return them all."""
    ids = [name for split in SPLITS for name in dataset.split(split).ids]
    assert len(ids) == len(set(ids))
    return set(ids)


def test_digits_are_those_of_scikit_learn():
    source = datasets.digits()
    bunch = load_digits()
    images = source.splits["train"]
    assert source.classes == tuple("0123456789")
    assert len(images) == 1797
    np.testing.assert_array_equal(images.labels, bunch.target)
    for i in (0, 900, 1796):
        grey = np.asarray(images.read(i)).astype(float) * 16 / 255
        np.testing.assert_allclose(grey, np.repeat(bunch.images[i][..., None], 3, axis=-1), atol=0.5 * 16 / 255)
    pixels = images.store.array / 255
    np.testing.assert_allclose(pixels.mean((0, 1, 2)), source.mean, atol=1e-3)
    np.testing.assert_allclose(pixels.std((0, 1, 2)), source.std, atol=1e-3)


def test_digits_splits_are_disjoint_complete_and_stratified():
    dataset = load("digits", validation_fraction=0.1, test_fraction=0.25)
    assert len(assert_disjoint(dataset)) == 1797
    whole = np.bincount(load_digits().target)
    test = np.bincount(dataset.test.labels)
    np.testing.assert_allclose(test, 0.25 * whole, atol=0.5)
    np.testing.assert_allclose(np.bincount(dataset.validation.labels), 0.1 * (whole - test), atol=0.5)


def test_a_fraction_of_the_training_images_leaves_the_other_splits_alone():
    parts = [load("digits", fraction=fraction) for fraction in (1.0, 0.5, 0.25)]
    for smaller, larger in zip(parts[1:], parts, strict=False):
        assert set(smaller.train.ids) < set(larger.train.ids)
        assert smaller.validation.ids == larger.validation.ids
        assert smaller.test.ids == larger.test.ids
    assert len(parts[2].train) == pytest.approx(len(parts[0].train) / 4, abs=5)


def test_another_split_seed_cuts_another_test_split():
    one, other = load("digits"), load("digits", split_seed=1)
    assert len(one.test) == len(other.test)
    assert set(one.test.ids) != set(other.test.ids)


def test_a_resample_seed_draws_what_is_not_tested():
    fixed, first, second = (load("digits", resample_seed=seed, fraction=0.5) for seed in (None, 0, 1))
    for split in SPLITS:
        assert first.split(split).ids == fixed.split(split).ids
    assert second.test.ids == fixed.test.ids
    assert class_counts(second) == class_counts(fixed)
    assert set(second.validation.ids) != set(fixed.validation.ids) and set(second.train.ids) != set(fixed.train.ids)
    assert_disjoint(second)
    assert load("digits", resample_seed=1, split_seed=1).test.ids == load("digits", split_seed=1).test.ids


def test_a_split_keeps_pixels_and_labels_of_its_images():
    dataset = load("digits")
    source = datasets.digits().splits["train"]
    for images in (dataset.train, dataset.validation, dataset.test):
        for i in (0, len(images) - 1):
            number = int(images.ids[i].removeprefix("digit-"))
            assert images.labels[i] == source.labels[number]
            np.testing.assert_array_equal(np.asarray(images.read(i)), source.store.array[number])


def test_an_unknown_split_is_named():
    dataset = load("digits")
    assert dataset.split("val") is dataset.validation
    with pytest.raises(UserError, match="there is no split tset; did you mean test?"):
        dataset.split("tset")


@pytest.mark.parametrize("validation", ["val", "validation", "valid"])
def test_folders_of_splits_are_taken_as_they_are(validation, tmp_path):
    counts = {"train/cat": 3, "train/dog": 2, f"{validation}/cat": 1, f"{validation}/dog": 2}
    root = make_tree(tmp_path, counts | {"test/cat": 2, "test/dog": 1})
    dataset = load(path=root)
    assert dataset.classes == ("cat", "dog")
    assert class_counts(dataset) == {"train": [3, 2], "validation": [1, 2], "test": [2, 1]}
    assert assert_disjoint(dataset) == {path.relative_to(root).as_posix() for path in root.rglob("*.png")}


def test_class_folders_alone_are_cut_into_three(tmp_path):
    root = make_tree(tmp_path, {"cat": 20, "dog": 10})
    dataset = load(path=root)
    assert class_counts(dataset) == {"train": [14, 7], "validation": [2, 1], "test": [4, 2]}
    assert len(assert_disjoint(dataset)) == 30


def test_only_the_missing_split_is_cut(tmp_path):
    root = make_tree(tmp_path, {"train/cat": 10, "train/dog": 10, "test/cat": 3, "test/dog": 3})
    assert class_counts(load(path=root)) == {"train": [9, 9], "validation": [1, 1], "test": [3, 3]}


def test_another_class_changes_no_split_of_the_others(tmp_path):
    before = load(path=make_tree(tmp_path / "two", {"cat": 20, "dog": 13}))
    after = load(path=make_tree(tmp_path / "three", {"ant": 9, "cat": 20, "dog": 13}))
    for split in SPLITS:
        assert set(before.split(split).ids) == {name for name in after.split(split).ids if not name.startswith("ant")}


def test_labels_and_pixels_belong_to_their_files(tmp_path):
    root = make_tree(tmp_path, {"cat": 12, "dog": 11, "eel": 10})
    images = load(path=root).train
    for i in range(len(images)):
        name, number = images.ids[i].removesuffix(".png").split("/")
        assert ("cat", "dog", "eel").index(name) == images.labels[i]
        assert images.read(i).getpixel((0, 0)) == (images.labels[i], int(number), 0)
    np.testing.assert_array_equal(images.in_memory().store.array[4], np.asarray(images.read(4)))


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["10", "9", "1", "2"], ("1", "2", "9", "10")),
        (["10", "9", "1", "b"], ("1", "10", "9", "b")),
        (["Zebra", "ant"], ("Zebra", "ant")),
    ],
)
def test_classes_that_are_numbers_stand_in_their_order(names, expected, tmp_path):
    assert load(path=make_tree(tmp_path, dict.fromkeys(names, 4))).classes == expected


def test_only_images_that_are_not_hidden_are_taken_from_any_depth(tmp_path):
    root = make_tree(tmp_path, {"cat": 6, "dog": 6, "dog/puppies": 2})
    (root / "cat" / "notes.txt").write_text("no image")
    (root / "cat" / "._001.png").write_bytes(b"what macOS leaves")
    (root / ".cache").mkdir()
    Image.new("RGB", (5, 5)).save(root / "cat" / "UPPER.JPEG")
    dataset = load(path=root)
    assert sum(class_counts(dataset)[split][0] for split in SPLITS) == 7
    assert sum(class_counts(dataset)[split][1] for split in SPLITS) == 8
    assert dataset.classes == ("cat", "dog")


def test_photographs_are_found_and_read(photo_folder):
    dataset = load(path=photo_folder)
    assert dataset.classes == tuple(sorted(path.name for path in photo_folder.iterdir()))
    assert class_counts(dataset) == {"train": [5] * 3, "validation": [1] * 3, "test": [2] * 3}
    check_readable(dataset.train, dataset.validation, dataset.test)
    assert {dataset.train.read(i).mode for i in range(15)} == {"RGB"}


def test_cifar_is_read_from_a_folder(cifar_folder):
    dataset = load("cifar10", path=cifar_folder, validation_fraction=0.2)
    assert dataset.classes[:3] == ("airplane", "automobile", "bird")
    assert class_counts(dataset) == {"train": [5] * 10, "validation": [1] * 10, "test": [2] * 10}
    assert dataset.small
    in_memory = dataset.train.in_memory()
    assert in_memory.store.array.shape == (50, 32, 32, 3)
    np.testing.assert_array_equal(in_memory.store.array[7], np.asarray(dataset.train.read(7)))


def test_what_cannot_be_downloaded_is_said_with_the_way_around(tmp_path, monkeypatch):
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nothing listens there
    monkeypatch.setattr("urllib.request._opener", None)
    with pytest.raises(UserError, match="CIFAR10 could not be downloaded to .*") as error:
        load("cifar10", path=tmp_path)
    assert "data.path=FOLDER" in str(error.value)


NO_VALIDATION = "no validation images can be taken from train"


@pytest.mark.parametrize(
    ("counts", "settings", "message"),
    [
        ({"cat": 9}, {}, "holds 1 class folders; two or more are needed"),
        ({}, {}, "holds 0 class folders; two or more are needed"),
        ({"cat": 9, "dog": 0}, {}, "no image in class dog; add images, or remove the empty folder"),
        (
            {"train/cat": 4, "train/dog": 4, "test/cat": 1, "test/dgo": 1},
            {},
            "no such class in train: dgo; did you mean dog?",
        ),
        (
            {"cat": 9, "dog": 2},
            {},
            "no test images can be taken from train: 3 images or more are needed in every class, dog has 2",
        ),
        ({"train/cat": 9, "train/dog": 1, "test/cat": 1, "test/dog": 1}, {}, NO_VALIDATION),
        ({"cat": 9, "dog": 9}, {"test_fraction": 0}, "no test images: give data.test_fraction above 0"),
        (
            {"cat": 9, "dog": 9},
            {"validation_fraction": 0},
            "no validation images: give data.validation_fraction above 0",
        ),
    ],
    ids=["one class", "no class", "empty class", "unknown class", "few", "few left", "no test", "no validation"],
)
def test_says_what_is_wrong_with_a_folder(counts, settings, message, tmp_path):
    (tmp_path / "data").mkdir()
    with pytest.raises(UserError, match=message):
        load(path=make_tree(tmp_path / "data", counts), **settings)


def test_says_that_a_folder_is_missing(tmp_path):
    with pytest.raises(UserError, match="data.path: there is no folder .*nowhere"):
        load(path=tmp_path / "nowhere")
    with pytest.raises(UserError, match="data.path: there is no folder .*nowhere"):
        load("cifar10", path=tmp_path / "nowhere")
    with pytest.raises(UserError, match="data.path is missing: name the folder"):
        load()


def promised_images(counts: Iterable[int], tmp_path: Path) -> str | None:
    """Return the message that a folder of such class sizes is refused with, if it is."""
    try:
        load(path=make_tree(tmp_path, {f"class {i}": count for i, count in enumerate(counts)}))
    except UserError as error:
        return str(error)
    return None


def test_three_images_in_every_class_are_refused_for_no_lack_of_a_third(tmp_path):
    message = promised_images([3, 3], tmp_path)
    assert message is None or "three images or more" not in message


def test_no_class_loses_all_its_training_images(tmp_path):
    root = make_tree(tmp_path, {"cat": 3, "dog": 100})
    try:
        counts = class_counts(load(path=root, test_fraction=0.9))["train"]
    except UserError as error:
        assert "cat" in str(error) or "train" in str(error)
    else:
        assert min(counts) >= 1


def test_validation_and_test_without_train_are_no_classes(tmp_path):
    root = make_tree(tmp_path, {"val/cat": 9, "val/dog": 9, "test/cat": 9, "test/dog": 9})
    with pytest.raises(UserError, match="train"):
        load(path=root)


def test_names_the_files_that_cannot_be_read(photo_folder):
    one, other = sorted(photo_folder.rglob("*.jpg"))[:2]
    one.write_bytes(b"")
    dataset = load(path=photo_folder)
    parts = [dataset.split(name) for name in SPLITS]
    with pytest.raises(UserError, match="1 image cannot be read; mend or remove them, or leave") as error:
        check_readable(*parts)
    assert f"{one}: an empty file" in str(error.value)
    other.write_bytes(other.read_bytes()[:400])
    with pytest.raises(UserError, match="2 images cannot be read") as error:
        check_readable(*parts)
    assert str(one) in str(error.value)
    assert str(other) in str(error.value)


def test_names_twenty_files_at_most(tmp_path):
    for i in range(23):
        (tmp_path / f"{i:02}.jpg").touch()
    names = tuple(f"{i:02}.jpg" for i in range(23))
    images = Images(names, np.zeros(23, dtype=int), Files(tmp_path, names))
    with pytest.raises(UserError, match="23 images cannot be read") as error:
        check_readable(images)
    lines = str(error.value).splitlines()
    assert len(lines) == 22
    assert lines[-1].strip() == "..."
