"""Images of one group are never parted by a cut, and folds test every image once."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vit import UserError
from vit.data.sources import datasets
from vit.data.sources.datasets import Dataset
from vit.data.sources.groups import group_numbers, read_groups, write_groups
from vit.data.sources.splits import choose, partition
from vit.recipe import Data

SPLITS = ("train", "validation", "test")
IDS = [f"{i:03}.png" for i in range(203)]
CLASS_OF = np.random.default_rng(0).choice(4, 203, p=[0.5, 0.25, 0.15, 0.1])
GROUP_OF = np.random.default_rng(1).integers(60, size=203)


def load(path: Path, **settings) -> Dataset:
    return datasets.load(Data(name="folder", path=str(path), image_size=(8, 8), **settings))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of 20 and 31 images."""
    root = tmp_path_factory.mktemp("images")
    for number, (name, count) in enumerate({"cat": 20, "dog": 31}.items()):
        (root / name).mkdir()
        for i in range(count):
            Image.new("RGB", (9, 7), (number, i, 0)).save(root / name / f"{i:02}.png")
    return root


@pytest.fixture(scope="module")
def patients(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Groups of three: cat/00 to cat/02, and so on; the last two cats are of nobody."""
    names = [
        [f"{name}/{3 * i + j:02}.png" for j in range(3)]
        for name, count in (("cat", 6), ("dog", 10))
        for i in range(count)
    ]
    write_groups(path := tmp_path_factory.mktemp("groups") / "patients.csv", names)
    return path


def homes(dataset: Dataset) -> dict[str, str]:
    return {name: split for split in SPLITS for name in dataset.split(split).ids}


@pytest.mark.parametrize("fraction", [0.1, 0.2, 0.5])
def test_a_choice_takes_whole_groups_and_stays_near_its_fraction(fraction: float) -> None:
    chosen = choose(IDS, CLASS_OF, fraction, 0, "test", GROUP_OF)
    assert all(len(set(chosen[group == GROUP_OF])) == 1 for group in np.unique(GROUP_OF))
    assert chosen.mean() == pytest.approx(fraction, abs=0.05)
    larger = choose(IDS, CLASS_OF, 1.5 * fraction, 0, "test", GROUP_OF)
    assert not (chosen & ~larger).any()
    order = np.random.default_rng(0).permutation(len(IDS))
    turned = choose([IDS[i] for i in order], CLASS_OF[order], fraction, 0, "test", GROUP_OF[order])
    assert np.array_equal(turned, chosen[order])


def test_images_alone_are_chosen_as_without_groups() -> None:
    for fraction in (0.03, 0.2, 0.8):
        without = choose(IDS, CLASS_OF, fraction, 5, "validation")
        assert np.array_equal(choose(IDS, CLASS_OF, fraction, 5, "validation", np.arange(len(IDS))), without)


def test_a_group_of_most_of_a_class_is_not_what_tests() -> None:
    labels, groups = np.zeros(30, dtype=int), np.array([0] * 20 + list(range(1, 11)))
    for seed in range(20):
        assert not choose(IDS[:30], labels, 0.2, seed, "test", groups)[:20].any()


@pytest.mark.parametrize("count", [2, 5, 10])
def test_a_partition_is_balanced_and_stratified(count: int) -> None:
    fold = partition(IDS, CLASS_OF, count, 0, np.arange(len(IDS)))
    sizes = np.bincount(fold, minlength=count)
    assert sizes.max() - sizes.min() <= 1
    for label in range(4):
        of_class = np.bincount(fold[label == CLASS_OF], minlength=count)
        assert of_class.max() - of_class.min() <= 2
    order = np.random.default_rng(0).permutation(len(IDS))
    turned = partition([IDS[i] for i in order], CLASS_OF[order], count, 0, np.arange(len(IDS)))
    assert np.array_equal(turned, fold[order])
    assert not np.array_equal(partition(IDS, CLASS_OF, count, 1, np.arange(len(IDS))), fold)


def test_a_partition_keeps_groups_whole_and_is_as_balanced_as_they_allow() -> None:
    fold = partition(IDS, CLASS_OF, 5, 0, GROUP_OF)
    assert all(len(set(fold[group == GROUP_OF])) == 1 for group in np.unique(GROUP_OF))
    sizes = np.bincount(fold)
    assert sizes.max() - sizes.min() <= 4
    for label in range(4):
        expected = np.count_nonzero(label == CLASS_OF) / 5
        assert abs(np.bincount(fold[label == CLASS_OF], minlength=5) - expected).max() <= 3


def test_every_image_is_tested_in_one_fold_and_trains_or_validates_in_the_others(images: Path) -> None:
    parts = [load(images, folds=5, fold=fold) for fold in range(5)]
    tested = [name for part in parts for name in part.test.ids]
    assert len(tested) == len(set(tested)) == 51
    for part in parts:
        names = [name for split in SPLITS for name in part.split(split).ids]
        assert len(names) == len(set(names)) == 51
        assert np.bincount(part.test.labels).tolist() in ([4, 6], [4, 7])
    validated = [set(part.validation.ids) for part in parts]
    assert len(set.union(*validated)) > 2 * len(validated[0]), "the folds do not all spare the same images"


@pytest.mark.parametrize("cut", [{}, {"folds": 3, "fold": 1}, {"fraction": 0.5}, {"resample_seed": 4}])
def test_no_split_parts_a_group(images: Path, patients: Path, cut: dict) -> None:
    home = homes(load(images, groups=str(patients), **cut))
    whole = homes(load(images, groups=str(patients), **cut | {"fraction": 1.0}))
    for name in whole:
        label, number = name.split("/")
        first = f"{label}/{int(number[:2]) // 3 * 3:02}.png"
        if name not in ("cat/18.png", "cat/19.png", "dog/30.png"):
            assert home.get(name) == home.get(first) and whole[name] == whole[first]
    assert len(whole) == 51


def test_images_of_one_name_share_a_fold_and_others_are_alone() -> None:
    assert group_numbers(["a", "b", "a", "c", "d"], {"c": "x", "d": "x"}).tolist() == [0, 1, 0, 2, 2]


def test_what_a_list_of_groups_may_not_say(tmp_path: Path) -> None:
    table = tmp_path / "groups.csv"
    for text, message in (
        ("name,group\na,1\n", "columns name, group; needed: image, group"),
        ("image,group\na,1\na,2\n", "gives a two groups, 1 and 2"),
        ("image,group\na.png,1\nb,2\n", r"1 of 2 names in .* are no images .*\n  a.png; did you mean a.pnm\?"),
    ):
        table.write_text(text)
        with pytest.raises(UserError, match=message):
            read_groups(str(table), ["a.pnm", "a", "b"] if "a.png" in text else ["a", "b"])
    with pytest.raises(UserError, match=r"there is no .*none.csv; .*data.groups=FILE.csv"):
        read_groups(str(tmp_path / "none.csv"), ["a"])
    table.write_text("group,image\n 1 ,a\n,b\n")
    assert read_groups(str(table), ["a", "b"]) == {"a": "1"}


def test_names_that_are_no_unicode_are_found_again(tmp_path: Path) -> None:
    name = "b\udce9.png"
    write_groups(tmp_path / "groups.csv", [[name, "c.png"]])
    found = read_groups(str(tmp_path / "groups.csv"), [name, "c.png"])
    assert group_numbers([name, "a.png", "c.png"], found).tolist() == [0, 1, 0]


def test_folds_need_images_enough_and_no_test_split(images: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"folds is 21: 21 images or more are needed in every class, cat has 20"):
        load(images, folds=21, fold=0)
    for split in ("train", "test"):
        (tmp_path / "split" / split).parent.mkdir(exist_ok=True)
        (tmp_path / "split" / split).symlink_to(images)
    with pytest.raises(UserError, match="folds is 3, and .* has a test split of its own"):
        load(tmp_path / "split", folds=3, fold=0)
    write_groups(tmp_path / "one.csv", [[f"cat/{i:02}.png" for i in range(20)]])
    with pytest.raises(UserError, match="no training image of cat|no validation images"):
        [load(images, folds=3, fold=fold, groups=str(tmp_path / "one.csv")) for fold in range(3)]
