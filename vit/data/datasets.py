"""Where images come from, and the three splits they are read in.

A source function returns the splits that exist; `load` cuts the missing ones from them, by `splits.choose`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..errors import UserError, nearest
from ..recipe import Data
from ..say import Say, ignore_line
from . import DATASETS, LISTS, splits
from .broken import reasons, refuse, undecodable
from .preprocessing import IMAGENET_MEAN, IMAGENET_STD
from .reading import is_image_name, own_warnings
from .stores import Choose, Files, Pixels, Sharded, Store

SPLIT_FOLDERS = {"train": ("train",), "validation": ("val", "validation", "valid"), "test": ("test",)}
NEVER_SHRUNK = 2**31
DECODED_BEFORE_TRAINING = 5_000  # files; more are left to `vit check`, which shows progress
DIGITS_MEAN, DIGITS_STD = (0.305, 0.305, 0.305), (0.376, 0.376, 0.376)  # of all pixels: 4.88 and 6.02 of 16


@dataclass(frozen=True)
class Images:
    """One split: names, labels, and where the pixels are: at some places of a store, by default all of them.

    Labels are class numbers [N], or, where an image may have several or none, a table [N, C] of what is there.
    """

    ids: tuple[str, ...]
    labels: np.ndarray
    store: Store
    places: np.ndarray = None  # type: ignore[assignment]  # of the store

    def __post_init__(self) -> None:
        if self.places is None:
            object.__setattr__(self, "places", np.arange(len(self.ids)))

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def multilabel(self) -> bool:
        return self.labels.ndim == 2

    @property
    def shard_of(self) -> np.ndarray | None:
        """Return the number of the file that each image lies in, where many lie in one: [N]."""
        return self.store.shard_of[self.places] if isinstance(self.store, Sharded) else None

    def counts(self, num_classes: int) -> np.ndarray:
        """Return how many images each class has: [C]."""
        return class_counts(self.labels, num_classes)

    def target(self, index: int) -> int | np.ndarray:
        """Return an image's class number, or its row [C] of zeros and ones."""
        return self.labels[index].astype(np.float32) if self.multilabel else int(self.labels[index])

    def read(self, index: int) -> Image.Image:
        """Return an upright RGB image; raises UserError, with the reason, for one that cannot be decoded."""
        with own_warnings():
            return self.store.decode(int(self.places[index]))

    def pixels(self, index: int) -> np.ndarray:
        """Return what `read` does as an array [height, width, 3]; JPEG files take half the time so."""
        return self.region(index, lambda width, height: (0, 0, width, height), (NEVER_SHRUNK, NEVER_SHRUNK))

    def region(self, index: int, choose: Choose, size: tuple[int, int]) -> np.ndarray:
        """Return the box that `choose` names for an image's width and height, no finer than `size` needs: [h, w, 3]."""
        return self.store.region(int(self.places[index]), choose, size)

    def complaint(self, index: int) -> str | None:
        """Return why an image cannot be decoded, or None where it can; to be called inside of `own_warnings`."""
        try:
            self.store.decode(int(self.places[index]))
        except UserError as error:
            return self.reason(index, error)
        return None

    def reason(self, index: int, error: UserError) -> str:
        """Return what an image's error says, without its address."""
        return str(error).removeprefix(f"{self.address(index)}: ")

    def address(self, index: int) -> str:
        """Return where an image is, for messages."""
        return self.store.address(int(self.places[index]))

    def where(self, mask: np.ndarray) -> "Images":
        return self.at(np.flatnonzero(mask))

    def at(self, chosen: np.ndarray) -> "Images":
        """Return the images at some places, in their order."""
        ids = tuple(self.ids[i] for i in chosen)
        return replace(self, ids=ids, labels=self.labels[chosen], places=self.places[chosen])

    def in_memory(self) -> "Images":
        """Decode every file now; for sets of small images, all of one size."""
        if not self.store.encoded:
            return self
        arrays = [self.pixels(i) for i in range(len(self))]
        odd = next((i for i, array in enumerate(arrays) if array.shape != arrays[0].shape), None)
        if odd is not None:
            height, width = arrays[0].shape[:2]
            raise UserError(
                f"{self.ids[odd]} is not {width}x{height} as {self.ids[0]}; for other images: data.name=folder"
            )
        return Images(self.ids, self.labels, Pixels(np.stack(arrays)))


def class_counts(labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Return how often each class stands in labels [N] or [N, C]: [C]."""
    return labels.sum(0) if labels.ndim == 2 else np.bincount(labels, minlength=num_classes)


@dataclass(frozen=True)
class Source:
    """What a dataset has by itself: classes in order, and one to three splits."""

    classes: tuple[str, ...]
    splits: dict[str, Images]  # "train", and "validation" or "test" where they exist
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    small: bool = False  # small enough to be held in memory whole


@dataclass(frozen=True)
class Dataset:
    """The disjoint splits of a recipe, and the channels' mean and deviation in [0, 1]."""

    classes: tuple[str, ...]
    train: Images
    validation: Images
    test: Images
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    small: bool
    skipped: dict[str, str] = field(default_factory=dict)  # names of files that were left out, and why

    def split(self, name: str) -> Images:
        images = {"train": self.train, "validation": self.validation, "val": self.validation, "test": self.test}
        if name not in images:
            raise UserError(f"there is no split {name}{nearest(name, images)} (train, validation, test)")
        return images[name]


def load(data: Data, say: Say = ignore_line) -> Dataset:
    """Return the splits that a recipe's `data` section describes; raises UserError for what is not there.

    Files that cannot be decoded are left out before anything is cut where `on_error` is skip; `say` is told of them.
    """
    source = DATASETS[data.name](path=data.path)
    skipped: dict[str, str] = {}
    if data.on_error == "skip":
        source, skipped = without_broken(source, say)
    parts = dict(source.splits)
    missing = [name for name in ("test", "validation") if name not in parts]
    for i, name in enumerate(missing):
        fraction = data.test_fraction if name == "test" else data.validation_fraction
        _check_enough(parts["train"], source.classes, fraction, name, needed=1 + len(missing) - i)
        chosen = splits.choose(parts["train"].ids, parts["train"].labels, fraction, data.split_seed, name)
        parts["train"], parts[name] = parts["train"].where(~chosen), parts["train"].where(chosen)
    train = parts["train"]
    if data.fraction < 1:
        train = train.where(splits.choose(train.ids, train.labels, data.fraction, data.split_seed, "fraction"))
    return Dataset(
        classes=source.classes,
        train=train,
        validation=parts["validation"],
        test=parts["test"],
        mean=source.mean,
        std=source.std,
        small=source.small,
        skipped=skipped,
    )


def without_broken(source: Source, say: Say) -> tuple[Source, dict[str, str]]:
    """Return the images that can be decoded, and the others' names with the reasons.

    Raises UserError for a class of train of which nothing is left.
    """
    kept, skipped = dict(source.splits), {}
    for split, images in source.splits.items():
        broken = reasons(images, say)
        kept[split] = images.where(np.array([i not in broken for i in range(len(images))]))
        skipped |= {images.ids[i]: reason for i, reason in broken.items()}
    counts = kept["train"].counts(len(source.classes))
    empty = [name for name, count in zip(source.classes, counts, strict=True) if not count]
    if empty:
        raise UserError(f"no training image can be decoded of {', '.join(empty)}; mend some, or remove the class")
    if skipped:
        say(f"{len(skipped):,} files cannot be decoded and are left out (data.on_error=skip)")
    return replace(source, splits=kept), skipped


def digits(*, path: str | None = None) -> Source:
    from sklearn.datasets import load_digits

    bunch: Any = load_digits()
    grey = np.round(bunch.images * (255 / 16)).astype(np.uint8)
    images = Images(
        ids=tuple(f"digit-{i:04d}" for i in range(len(grey))),
        labels=bunch.target.astype(np.int64),
        store=Pixels(np.repeat(grey[..., None], 3, axis=-1)),
    )
    return Source(tuple("0123456789"), {"train": images}, DIGITS_MEAN, DIGITS_STD, small=True)


def folder(*, path: str | None = None) -> Source:
    if path is None:
        raise UserError("data.path is missing: name the folder, for example data.path=photos")
    root = Path(path)
    if not root.is_dir():
        raise UserError(f"data.path: there is no folder {root}")
    found = _split_folders(root)
    if not found:
        found = {"train": root}
    if "train" not in found:
        raise UserError(f"{root} holds {', '.join(path.name for path in found.values())}, and no train/ to learn from")
    classes = _class_names(found["train"])
    return Source(classes, {name: _class_folders(root, place, classes, name) for name, place in found.items()})


def named(data: str | Path) -> tuple[str, str | None]:
    """Return the dataset's name and path that DATA stands for: a folder, a CSV file, or a dataset's name."""
    place = Path(data)
    if place.is_dir():
        return "shards" if any(place.glob("*.tar")) or any(place.glob("*/*.tar")) else "folder", str(data)
    if place.is_file() and place.suffix.lower() in LISTS:
        return "csv", str(data)
    if str(data) in DATASETS and str(data) not in ("folder", "csv"):
        return str(data), None
    raise UserError(
        f"{data} is no folder, no CSV file and no dataset{nearest(str(data), DATASETS)} ({', '.join(DATASETS)})"
    )


def check_readable(*parts: Images) -> None:
    """Decode the files of a set small enough to wait for, and refuse it if any cannot be."""
    encoded = [images for images in parts if images.store.encoded]
    if sum(map(len, encoded)) > DECODED_BEFORE_TRAINING:
        return
    refuse([f"{images.address(i)}: {reason}" for images in encoded for i, reason in undecodable(images).items()])


def _check_enough(images: Images, classes: tuple[str, ...], fraction: float, purpose: str, needed: int) -> None:
    counts = images.counts(len(classes))
    fewest = int(counts.argmin())
    if fraction == 0:
        raise UserError(f"no {purpose} images: give data.{purpose}_fraction above 0, or a {purpose}/ folder")
    if counts[fewest] < needed:
        raise UserError(
            f"no {purpose} images can be taken from train: {needed} images or more are needed in every class, "
            f"{classes[fewest]} has {counts[fewest]}; add images, or give a {purpose}/ folder"
        )


def _split_folders(root: Path) -> dict[str, Path]:
    """Return the folders that are splits, by the split's name; upper and lower case are the same."""
    found: dict[str, Path] = {}
    for path in sorted(root.iterdir()):
        split = next((name for name, known in SPLIT_FOLDERS.items() if path.name.lower() in known), None)
        if split is None or not path.is_dir():
            continue
        if split in found:
            raise UserError(f"{root}: {found[split].name}/ and {path.name}/ are both the {split} split; keep one")
        found[split] = path
    return {split: found[split] for split in SPLIT_FOLDERS if split in found}


def _class_names(root: Path) -> tuple[str, ...]:
    names = [entry.name for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith(".")]
    if len(names) < 2:
        raise UserError(f"{root} holds {len(names)} class folders; two or more are needed, one for each class")
    return in_order(names)


def in_order(classes: Iterable[str]) -> tuple[str, ...]:
    """Return class names in the order of their numbers: as text, and as numbers where all of them are."""
    names = list(classes)
    as_number: Callable[[str], tuple[int, str]] = lambda name: (int(name), name)  # noqa: E731
    return tuple(sorted(names, key=as_number if all(name.isdecimal() for name in names) else None))


def _class_folders(root: Path, place: Path, classes: tuple[str, ...], split: str) -> Images:
    names = _class_names(place)
    unknown = [name for name in names if name not in classes]
    if unknown:
        raise UserError(f"{place}: no such class in train: {', '.join(unknown)}{nearest(unknown[0], classes)}")
    files = {name: sorted(p for p in (place / name).rglob("*") if is_image_name(p) and p.is_file()) for name in names}
    empty = [name for name in names if not files[name]]
    if empty and (split == "train" or len(empty) == len(names)):
        raise UserError(f"{place}: no image in class {', '.join(empty)}; add images, or remove the empty folder")
    labels = [classes.index(name) for name in names for _ in files[name]]
    ids = [path.relative_to(root).as_posix() for name in names for path in files[name]]
    return Images(tuple(ids), np.array(labels, dtype=np.int64), Files(root, tuple(ids)))
