"""Images kept resized are what they were: to the bit in evaluation, and for crops of a large part in training."""

import multiprocessing
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from heard import heard

from vit.data.loading import cache
from vit.data.loading.cache import AsInEvaluation, Covering, MappedArrays
from vit.data.loading.loaders import Loaders, make_loaders, preprocessing_of
from vit.data.loading.order import Position
from vit.data.preprocessing import Preprocessing
from vit.data.sources import datasets
from vit.data.sources.datasets import Dataset
from vit.errors import UserError
from vit.hardware.processes import ALONE
from vit.recipe import Recipe, load_recipe

CPU = torch.device("cpu")

CROP = [{"random_resized_crop": {"scale": [0.3, 1.0]}}, "horizontal_flip"]
PREPROCESSING = Preprocessing((24, 32), (0.5,) * 3, (0.5,) * 3, crop_fraction=0.875)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def load(folder: Path, place: Path, kind: str, **overrides) -> tuple[Recipe, Dataset]:
    settings = {"data.name": "folder", "data.path": str(folder), "data.image_size": [24, 32]}
    settings |= {"data.cache": kind, "data.cache_folder": str(place), "data.crop_fraction": 0.875}
    settings |= {"data.test_fraction": 0.25, "data.validation_fraction": 0.25, "training.batch_size": 6}
    recipe = load_recipe("digits_resnet", settings | overrides)
    return recipe, datasets.load(recipe.data)


def loaders(folder: Path, place: Path, kind: str, **overrides) -> Loaders:
    recipe, dataset = load(folder, place, kind, **overrides)
    return make_loaders(recipe, dataset, preprocessing_of(recipe.data, dataset))


def all_of(loader) -> tuple[torch.Tensor, torch.Tensor]:
    images, labels = zip(*loader, strict=True)
    return torch.cat(images), torch.cat(labels)


@pytest.mark.parametrize("kind", ["ram", "disk"])
@pytest.mark.parametrize("workers", [0, 2])
def test_evaluation_sees_the_same_pixels(photo_folder: Path, place: Path, kind: str, workers: int) -> None:
    plain = all_of(loaders(photo_folder, place, "none").validation(ALONE, CPU))
    for _ in range(2):  # written, then found
        kept = all_of(loaders(photo_folder, place, kind, **{"data.workers": workers}).validation(ALONE, CPU))
        assert all(a.equal(b) for a, b in zip(plain, kept, strict=True))


@pytest.mark.parametrize("kind", ["ram", "disk"])
@pytest.mark.parametrize("augment", [[], ["random_crop", "horizontal_flip"], CROP], ids=["plain", "padded", "resized"])
def test_training_sees_the_same_images_in_the_same_order(
    photo_folder: Path, place: Path, kind: str, augment: list
) -> None:
    batches = {}
    for kept, workers in (("none", 0), (kind, 0), (kind, 2)):
        made = loaders(photo_folder, place, kept, augment=augment, **{"data.workers": workers})
        batches[kept, workers] = all_of(made.training(1, ALONE, Position(3), CPU))
    (images, labels), (kept, theirs), (again, _) = batches.values()
    assert labels.equal(theirs) and kept.equal(again)
    if augment == CROP:  # the same regions, of a smaller image
        assert 0 < (images.float() - kept.float()).abs().mean() < 15  # 34 where the regions differ
    else:
        assert images.equal(kept)


def test_a_whole_image_is_kept_no_larger_than_covers_the_size(photographs: list[Path]) -> None:
    folder = photographs[0].parents[1]
    images = datasets.folder(path=str(folder)).splits["train"]
    for fit, place in ((Covering((40, 60)), 0), (Covering((200, 64)), 1), (Covering((9000, 9000)), 2)):
        whole, kept = images.read(place), fit.fitted(images, place)
        if fit.size[0] == 9000:
            assert kept.shape[:2] == (whole.height, whole.width)
        else:
            spare = (kept.shape[0] - fit.size[0], kept.shape[1] - fit.size[1])
            assert min(spare) == 0 <= max(spare)
            assert abs(kept.shape[1] / kept.shape[0] - whole.width / whole.height) < 0.03
            expected = np.asarray(whole.resize(kept.shape[1::-1])).astype(int)
            assert np.abs(kept - expected).mean() < 4


def test_it_is_written_once_and_anew_when_a_file_or_the_way_changes(
    photo_folder: Path, place: Path, told: list[str]
) -> None:
    _, dataset = load(photo_folder, place, "disk")
    images = dataset.train
    for _ in range(3):
        cache.on_disk(images, AsInEvaluation(PREPROCESSING), place)
    assert len(told) == 1 and "GB of resized images are kept in" in told[0]
    cache.on_disk(images, Covering((24, 32)), place)
    assert len(told) == 2
    changed = photo_folder / images.ids[0]
    changed.write_bytes((photo_folder / images.ids[1]).read_bytes())
    kept = cache.on_disk(images, AsInEvaluation(PREPROCESSING), place)
    assert len(told) == 3
    np.testing.assert_array_equal(kept[0], kept[1])
    assert sorted(path.suffix for path in place.iterdir() if path.is_dir()) == ["", "", ""]


def test_what_is_sent_to_another_process_is_small(photo_folder: Path, place: Path) -> None:
    _, dataset = load(photo_folder, place, "disk")
    kept = cache.on_disk(dataset.train, AsInEvaluation(PREPROCESSING), place)
    first = np.array(kept[0])
    sent = pickle.dumps(kept)
    assert len(sent) < 3000 < kept.bytes.nbytes
    np.testing.assert_array_equal(pickle.loads(sent)[0], first)


def write_slowly(folder: Path, place: Path, done) -> None:
    with heard() as told:
        _, dataset = load(folder, place, "disk")
        kept = cache.on_disk(dataset.train, Slow(PREPROCESSING), place)
    done.put((told, int(kept[0].astype(int).sum())))


class Slow(AsInEvaluation):
    def fitted(self, images, place):
        import time

        time.sleep(0.3)
        return super().fitted(images, place)


def test_of_two_runs_one_writes_and_the_other_waits(photo_folder: Path, place: Path) -> None:
    context = multiprocessing.get_context("fork")
    done = context.Queue()
    runs = [context.Process(target=write_slowly, args=(photo_folder, place, done)) for _ in range(2)]
    for run in runs:
        run.start()
    (first, one), (second, other) = sorted((done.get(timeout=60) for _ in runs), key=lambda result: len(result[0][0]))
    for run in runs:
        run.join()
    assert one == other
    assert sorted("waiting" in line for line in first + second) == [False, True]
    assert len([path for path in place.iterdir() if path.is_dir()]) == 1


@pytest.mark.parametrize("kind", ["ram", "disk"])
def test_broken_images_are_all_named_and_nothing_is_left(photo_folder: Path, place: Path, kind: str) -> None:
    recipe, dataset = load(photo_folder, place, kind)
    for name in dataset.train.ids[2:4]:
        (photo_folder / name).write_bytes(b"")
    with pytest.raises(UserError, match="2 images cannot be read") as error:
        make_loaders(recipe, dataset, preprocessing_of(recipe.data, dataset))
    assert all(name in str(error.value) for name in dataset.train.ids[2:4])
    assert not [path for path in place.glob("*") if path.is_dir()]


@pytest.mark.parametrize("kind", ["ram", "disk"])
def test_without_room_nothing_is_begun(
    photo_folder: Path, place: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "free_memory_bytes", lambda: 10_000)
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 10_000}))
    with pytest.raises(UserError, match=rf"data.cache={kind}: .* resized images take about 0.0 GB.*data.cache=none"):
        loaders(photo_folder, place, kind)
    assert not [path for path in place.glob("*") if path.is_dir()]


def test_a_place_that_cannot_be_written_is_named(photo_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"data.cache=disk: .*file"):
        loaders(photo_folder, tmp_path / "file", "disk")


def test_mapped_arrays_are_as_many_as_were_written(photo_folder: Path, place: Path) -> None:
    _, dataset = load(photo_folder, place, "disk")
    kept = cache.on_disk(dataset.train, Covering((16, 16)), place)
    assert isinstance(kept, MappedArrays) and len(kept) == len(dataset.train)
    for i in range(len(kept)):
        np.testing.assert_array_equal(kept[i], Covering((16, 16)).fitted(dataset.train, int(dataset.train.places[i])))
