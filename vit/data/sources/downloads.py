"""Sets that are known by name: torchvision downloads them once, or their folder is given."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np

from ...errors import UserError
from ...places import cache_folder
from .datasets import Images, Source
from .folders import folder
from .stores import Files, Pixels

CIFAR_MEAN, CIFAR_STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)


def cifar10(*, path: str | None = None) -> Source:
    return cifar("CIFAR10", path)


def cifar100(*, path: str | None = None) -> Source:
    return cifar("CIFAR100", path)


def cifar(name: str, path: str | None) -> Source:
    """Return the set, its own or a folder train/<class>/*, test/<class>/*."""
    source = folder(path=path) if path and (Path(path) / "train").is_dir() else own_cifar(name, path)
    return replace(source, mean=CIFAR_MEAN, std=CIFAR_STD, small=True)


def own_cifar(name: str, path: str | None) -> Source:
    hint = "with a copy at hand, give its folder: data.path=FOLDER (train/<class>/*, test/<class>/*)"
    parts = {split: fetched(name, path, hint, train=split == "train") for split in ("train", "test")}
    images = {
        split: Images(
            ids=tuple(f"{split}/{i:05d}" for i in range(len(part.targets))),
            labels=np.array(part.targets, dtype=np.int64),
            store=Pixels(part.data),
        )
        for split, part in parts.items()
    }
    return Source(tuple(parts["train"].classes), images)


def flowers102(*, path: str | None = None) -> Source:
    """102 flowers; ten images of each to learn from (Nilsback and Zisserman 2008)."""
    return of_files(
        "Flowers102", path, {"train": {"split": "train"}, "validation": {"split": "val"}, "test": {"split": "test"}}
    )


def pets(*, path: str | None = None) -> Source:
    """37 breeds of cats and dogs (Parkhi et al. 2012)."""
    return of_files("OxfordIIITPet", path, {"train": {"split": "trainval"}, "test": {"split": "test"}})


def food101(*, path: str | None = None) -> Source:
    """101 dishes; the training images are noisy on purpose (Bossard et al. 2014)."""
    return of_files("Food101", path, {"train": {"split": "train"}, "test": {"split": "test"}})


def eurosat(*, path: str | None = None) -> Source:
    """Ten kinds of land, seen by Sentinel-2 in red, green and blue (Helber et al. 2019, arXiv:1709.00029)."""
    return of_files("EuroSAT", path, {"train": {}})


def of_files(name: str, path: str | None, splits: dict[str, dict[str, str]]) -> Source:
    """Return a set of image files, its splits by the options that torchvision gives them for."""
    hint = "with a copy at hand, give the folder that torchvision keeps it in: data.path=FOLDER"
    parts = {split: fetched(name, path, hint, **options) for split, options in splits.items()}
    root = place_of(name, path)
    images = {split: images_of(files_and_labels(part), root) for split, part in parts.items()}
    return Source(tuple(parts["train"].classes), images)


def fetched(name: str, path: str | None, hint: str, **options: Any) -> Any:
    """Return one of torchvision's data sets, downloaded where it is not there yet; raises UserError without network."""
    import torchvision

    if path and not Path(path).is_dir():
        raise UserError(f"data.path: there is no folder {path}")
    place = place_of(name, path)
    try:
        return getattr(torchvision.datasets, name)(place, download=True, **options)
    except (URLError, OSError, RuntimeError) as error:
        raise UserError(f"{name} could not be downloaded to {place}: {error}\n{hint}") from error


def place_of(name: str, path: str | None) -> Path:
    return Path(path) if path else cache_folder() / name.lower()


def files_and_labels(part: Any) -> Iterable[tuple[str | Path, int]]:
    """Return what a data set of torchvision would open; the pets' keeps it to itself."""
    if hasattr(part, "_images"):
        return zip(part._images, part._labels, strict=True)
    part.loader = lambda path: path
    return (part[i] for i in range(len(part)))


def images_of(found: Iterable[tuple[str | Path, int]], root: Path) -> Images:
    files, labels = zip(*found, strict=True)
    ids = tuple(Path(file).relative_to(root).as_posix() for file in files)
    return Images(ids, np.array(labels, dtype=np.int64), Files(root, ids))
