"""Files that cannot be decoded: found once, left out where asked for, and remembered until something changes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from vit.data.loading.loaders import make_loaders, preprocessing_of
from vit.data.loading.order import Position
from vit.data.sources import broken, datasets
from vit.data.sources.datasets import Dataset
from vit.errors import UserError
from vit.hardware.processes import Share
from vit.recipe import Data, Recipe, load_recipe

CPU = torch.device("cpu")

SETTINGS = {"data.name": "folder", "data.image_size": 16, "data.on_error": "skip", "data.test_fraction": 0.4}


@pytest.fixture(autouse=True)
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "memory"))
    return tmp_path / "memory" / "vit" / "decoded"


@pytest.fixture
def spoiled(photo_folder: Path) -> Path:
    """Three classes of eight images, one of them spoiled in each of two classes."""
    first, second, _ = sorted(path for path in photo_folder.iterdir())
    (first / "3.jpg").write_bytes((first / "3.jpg").read_bytes()[:200])
    (second / "6.png").write_bytes(b"")
    return photo_folder


def load(folder: Path, **overrides) -> tuple[Recipe, Dataset]:
    recipe = load_recipe("digits_resnet", SETTINGS | {"data.path": str(folder)} | overrides)
    return recipe, datasets.load(recipe.data)


def test_they_are_left_out_of_every_split_and_listed(spoiled: Path, told: list[str]) -> None:
    recipe, _ = load(spoiled)
    dataset = datasets.load(recipe.data)
    datasets.log_left_out(dataset)
    names = [name for split in ("train", "validation", "test") for name in dataset.split(split).ids]
    assert len(names) == len(set(names)) == 22
    assert [name.split("/")[1] for name in dataset.skipped] == ["3.jpg", "6.png"]
    assert list(dataset.skipped.values())[1] == "an empty file"
    assert told[-1] == "2 files cannot be decoded and are left out (data.on_error=skip)"
    datasets.check_readable(dataset.train, dataset.validation, dataset.test)


def test_by_default_they_are_refused_with_the_way_out(spoiled: Path) -> None:
    _, dataset = load(spoiled, **{"data.on_error": "fail"})
    with pytest.raises(UserError, match=r"2 images .*data.on_error=skip:\n.*3.jpg: .*\n.*6.png: an empty"):
        datasets.check_readable(dataset.train, dataset.validation, dataset.test)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("world_size", [1, 2])
def test_every_good_image_is_seen_once_an_epoch(spoiled: Path, workers: int, world_size: int) -> None:
    recipe, dataset = load(spoiled, **{"data.workers": workers, "training.batch_size": 2})
    loaders = make_loaders(recipe, dataset, preprocessing_of(recipe.data, dataset))
    assert len(dataset.train) == 10
    for epoch in (0, 1):
        seen: list[str] = []
        for rank in range(world_size):
            loader = loaders.training(1, Share(rank, world_size), Position(epoch), CPU)
            assert isinstance(loader, DataLoader)
            images = sum(len(batch) for batch, _ in loader)
            names = [name for i in range(len(loader)) for name in loader.batch_sampler.names(epoch, i)]
            assert images == len(names) == 10 / world_size
            seen += names
        assert sorted(seen) == sorted(dataset.train.ids)
    evaluated = [loaders.validation(Share(rank, world_size), CPU) for rank in range(world_size)]
    assert sum(len(labels) for loader in evaluated for _, labels in loader) == len(dataset.validation)


def test_a_look_is_remembered_until_a_file_changes(
    spoiled: Path, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []
    decode = broken.undecodable
    monkeypatch.setattr(broken, "undecodable", lambda images: looks.append(len(images)) or decode(images))
    _, first = load(spoiled)
    _, again = load(spoiled)
    assert looks == [24] and first.skipped == again.skipped
    (mended,) = (path for path in spoiled.glob("*/6.png") if not path.stat().st_size)
    mended.write_bytes(next(path for path in spoiled.glob("*/4.png")).read_bytes())
    _, mended_set = load(spoiled)
    assert looks == [24, 24] and len(mended_set.skipped) == 1
    for path in memory.glob("*.json"):
        path.write_text("{half")
    assert load(spoiled)[1].skipped == mended_set.skipped and len(looks) == 3


def test_a_class_of_which_nothing_is_left_is_refused(spoiled: Path) -> None:
    last = sorted(spoiled.iterdir())[-1]
    for path in last.iterdir():
        path.write_text("no image")
    with pytest.raises(UserError, match=f"no training image can be decoded of {last.name}"):
        datasets.load(Data(name="folder", path=str(spoiled), image_size=(16, 16), on_error="skip"))


def test_progress_is_told(spoiled: Path, monkeypatch: pytest.MonkeyPatch, told: list[str]) -> None:
    monkeypatch.setattr("vit.progress.LINE_EVERY_SECONDS", 0)
    monkeypatch.setattr(broken, "AT_ONCE", 10)
    found = broken.undecodable(datasets.folder(path=str(spoiled)).splits["train"])
    assert len(found) == 2
    assert [line.split(";")[0] for line in told] == [f"{n} of 24 files decoded" for n in (10, 20, 24)]
    assert np.all(["left" in line for line in told])
