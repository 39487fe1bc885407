"""Torchvision's sets by name, read from small copies of their own layouts; without copy or network, a message."""

import json
from pathlib import Path

import numpy as np
import pytest
import torchvision
from PIL import Image
from scipy.io import savemat

from vit.data.sources import datasets
from vit.errors import UserError
from vit.recipe import Data


def draw(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (12, 10), (len(path.name) * 7 % 256, 90, 20)).save(path)


def food101(root: Path) -> None:
    for split, numbers in (("train", range(6)), ("test", range(6, 8))):
        listed = {name: [f"{name}/{number}" for number in numbers] for name in ("ramen", "apple_pie")}
        (root / "food-101" / "meta").mkdir(parents=True, exist_ok=True)
        (root / "food-101" / "meta" / f"{split}.json").write_text(json.dumps(listed))
        for name in (name for names in listed.values() for name in names):
            draw(root / "food-101" / "images" / f"{name}.jpg")


def pets(root: Path) -> None:
    folder = root / "oxford-iiit-pet"
    for split, numbers in (("trainval", range(6)), ("test", range(6, 8))):
        lines = [(f"{name}_{n}", label) for label, name in ((1, "Abyssinian"), (2, "great_dane")) for n in numbers]
        (folder / "annotations").mkdir(parents=True, exist_ok=True)
        (folder / "annotations" / f"{split}.txt").write_text("".join(f"{name} {label} 1 1\n" for name, label in lines))
        for name, _ in lines:
            draw(folder / "images" / f"{name}.jpg")


def eurosat(root: Path) -> None:
    for name in ("Forest", "River"):
        for number in range(8):
            draw(root / "eurosat" / "2750" / name / f"{name}_{number}.jpg")


def flowers102(root: Path) -> None:
    folder = root / "flowers-102"
    for number in range(1, 307):
        draw(folder / "jpg" / f"image_{number:05d}.jpg")
    savemat(folder / "imagelabels.mat", {"labels": np.tile(np.arange(1, 103), 3)})
    thirds = np.arange(1, 307).reshape(3, 102)
    savemat(folder / "setid.mat", dict(zip(("trnid", "valid", "tstid"), thirds, strict=True)))


SETS = {  # how a copy is made, images of train, validation and test, and one class
    "food101": (food101, (10, 2, 4), "apple_pie"),
    "pets": (pets, (10, 2, 4), "Great Dane"),
    "eurosat": (eurosat, (10, 2, 4), "River"),
    "flowers102": (flowers102, (102, 102, 102), "sunflower"),
}


@pytest.mark.parametrize("name", SETS)
def test_a_set_is_read_in_its_own_splits(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make, sizes, some_class = SETS[name]
    make(tmp_path)
    monkeypatch.setattr(torchvision.datasets.Flowers102, "_check_integrity", lambda self: True)  # of the real files
    dataset = datasets.load(Data(name=name, path=str(tmp_path), image_size=(8, 8)))
    parts = [dataset.split(split) for split in ("train", "validation", "test")]
    assert tuple(map(len, parts)) == sizes
    assert len({image for part in parts for image in part.ids}) == sum(sizes)
    number = dataset.classes.index(some_class)
    mine = [image for part in parts for image, label in zip(part.ids, part.labels, strict=True) if label == number]
    if name != "flowers102":
        assert len(mine) == 8 and all(some_class.lower().replace(" ", "_") in image.lower() for image in mine)
    datasets.check_readable(*parts)
    assert parts[0].read(0).size == (12, 10)


def test_without_a_copy_or_network_the_message_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*arguments, **options):
        raise OSError("no network")

    monkeypatch.setattr("torchvision.datasets.food101.download_and_extract_archive", offline)
    with pytest.raises(UserError, match=r"Food101 could not be downloaded to .*: no network\nwith a copy at hand"):
        datasets.load(Data(name="food101", path=str(tmp_path), image_size=(8, 8)))
    with pytest.raises(UserError, match="data.path: there is no folder"):
        datasets.load(Data(name="pets", path=str(tmp_path / "nowhere"), image_size=(8, 8)))
