"""Threads load the batches that one process loads, in its order, and tell of what cannot be loaded."""

from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader

from vit.data.loading.loaders import make_loaders, preprocessing_of
from vit.data.loading.order import Position
from vit.data.loading.threads import ThreadedLoader
from vit.data.loading.worker_processes import ProcessLoader
from vit.data.sources import datasets
from vit.errors import UserError
from vit.hardware.processes import ALONE, Share
from vit.recipe import load_recipe

CPU = torch.device("cpu")

FIRST = Position()
CROP = [{"random_resized_crop": {"scale": [0.3, 1.0]}}, {"horizontal_flip": {"p": 0.5}}]


def loader(folder: Path, workers: int, share: Share = ALONE, start: Position = FIRST, **overrides) -> DataLoader:
    settings = {"data.name": "folder", "data.path": str(folder), "data.image_size": [24, 32], "augment": CROP}
    settings |= {"data.test_fraction": 0.25, "training.batch_size": 4, "data.workers": workers, "schedule.epochs": 4}
    recipe = load_recipe("digits_resnet", settings | {"schedule.warmup_epochs": 0} | overrides)
    dataset = datasets.load(recipe.data)
    return make_loaders(recipe, dataset, preprocessing_of(recipe.data, dataset)).training(1, share, start, CPU)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_the_batches_are_those_of_one_process(photo_folder: Path, threads: int) -> None:
    for share, start in ((Share(), Position(2)), (Share(1, 2), Position(1, 2))):
        plain, threaded = (loader(photo_folder, workers, share, start) for workers in (0, threads))
        assert type(plain) is ProcessLoader and isinstance(threaded, ThreadedLoader) and len(plain) == len(threaded)
        for (images, labels), (theirs, their_labels) in zip(plain, threaded, strict=True):
            assert images.dtype == theirs.dtype == torch.uint8 and images.equal(theirs)
            assert labels.dtype == their_labels.dtype and labels.equal(their_labels)


def test_a_batch_stays_as_long_as_it_is_held(photo_folder: Path) -> None:
    plain, threaded = loader(photo_folder, 0), loader(photo_folder, 2)
    held = [images for _ in range(2) for images, _ in threaded]
    expected = [images for _ in range(2) for images, _ in plain]
    assert all(images.equal(theirs) for images, theirs in zip(expected, held, strict=True))


def test_epochs_of_another_size_and_an_epoch_left_early(photo_folder: Path) -> None:
    sizes = {"schedule.lower_image_size": 16, "schedule.raised_epochs": 2, "data.image_size": 24}
    threaded = loader(photo_folder, 2, **sizes)
    seen = []
    for epoch in range(4):
        threaded.batch_sampler.set_epoch(epoch)  # type: ignore[union-attr]
        for images, _ in threaded:
            seen.append(tuple(images.shape[1:]))
            break
    assert seen == [(3, 16, 16)] * 2 + [(3, 24, 24)] * 2


def test_several_labels(photo_folder: Path, tmp_path: Path) -> None:
    names = sorted(path.relative_to(photo_folder).as_posix() for path in photo_folder.glob("*/*"))
    rows = [f"{photo_folder / name},{'a|b' if i % 2 else 'b|c'}" for i, name in enumerate(names)]
    (tmp_path / "list.csv").write_text("\n".join(["path,labels", *rows]))
    several = {"data.name": "csv", "data.path": str(tmp_path / "list.csv"), "training.loss": "bce"}
    for (images, labels), (theirs, their_labels) in zip(
        *(loader(photo_folder, workers, **several) for workers in (0, 2)), strict=True
    ):
        assert images.equal(theirs) and labels.equal(their_labels) and labels.shape == (4, 3)


def test_a_broken_image_is_named(photo_folder: Path) -> None:
    threaded = loader(photo_folder, 2)
    images = threaded.images  # type: ignore[attr-defined]
    name = images.images.address(5)
    Path(name).write_bytes(Path(name).read_bytes()[:100])
    with pytest.raises(UserError, match=Path(name).name):
        list(threaded)


def test_steps_in_python_are_left_to_processes(photo_folder: Path) -> None:
    assert type(loader(photo_folder, 2, augment=[*CROP, "color_jitter"])) is ProcessLoader
    assert type(loader(photo_folder, 2, augment=[])) is ProcessLoader
