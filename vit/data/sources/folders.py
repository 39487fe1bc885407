"""Folders of images: the splits, the classes, and the files of each.

Every entry of a folder is used, or passed over and named with the reason: nothing is left out without a word.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from ...errors import UserError, nearest
from ...registry import BY_PATH, DATASETS, LISTS
from ..decoding import reading
from .images import Images, Source
from .passed_over import in_words
from .split_names import SPLIT_FOLDERS, split_called, split_within
from .stores import Files

UNLABELLED = ("image",)  # the one class of images whose labels are not read
ARCHIVES = frozenset({".zip", ".rar", ".7z", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".zst"})


@dataclass(frozen=True)
class Listing:
    """The entries of one folder: `folders` and `images` by name, both in order; what else is there is passed over."""

    folders: list[str]
    images: list[str]
    passed_over: dict[str, str] = field(default_factory=dict)  # reasons by name


def folder(*, path: str | None = None) -> Source:
    """Return the images of class folders, alone or below folders of splits.

    Raises UserError for a folder without two classes, for an empty class, and for classes that train does not have.
    """
    return read_tree(path, nested=False)


def nested_folders(*, path: str | None = None) -> Source:
    """Return the images of nested class folders: every folder that holds images is a class, as animal/dog/terrier.

    Raises UserError as `folder` does.
    """
    return read_tree(path, nested=True)


def read_tree(path: str | None, nested: bool) -> Source:
    """Return the images of class folders or, `nested`, of all folders that hold images themselves."""
    root = root_at(path)
    top = entries_of(root)
    places = split_places(root, top)
    tree = Tree(root, nested)
    tree.pass_over("", top.passed_over)
    if places:
        found = {split: tree.class_folders(name) for split, name in places.items()}
        beside = [name for name in top.folders if name not in places.values()]
        tree.pass_over("", {name: _reason_against_folder(root, name, places) for name in beside})
    else:
        found = {"train": tree.below_class_folders({name: name for name in top.folders})}
    tree.pass_over("", dict.fromkeys(top.images, OUTSIDE))
    _check_classes(root, places, top, found["train"])
    classes = in_order(found["train"])
    return Source(
        classes,
        {split: tree.images_of(split, folders, classes, places) for split, folders in found.items()},
        passed_over=tree.passed_over,
    )


def unlabelled(*, path: str | None = None) -> Source:
    """Return all images below a folder, at any depth; where folders of splits are there, each split's own.

    Raises UserError for a folder without images.
    """
    root = root_at(path)
    tree = Tree(root, nested=False)
    places = split_places(root, entries_of(root)) or {"train": ""}
    splits = {}
    for split, place in places.items():
        ids = tuple(tree.images_below(place))
        if not ids:
            raise UserError(f"{root / place} holds no images")
        splits[split] = Images(ids, np.zeros(len(ids), dtype=np.int64), Files(root, ids))
    return Source(UNLABELLED, splits, passed_over=tree.passed_over)


def root_at(path: str | None) -> Path:
    """Return the folder that a recipe names; raises UserError where it names none, or one that is not there."""
    if path is None:
        raise UserError("data.path is missing: name the folder, for example data.path=photos")
    root = Path(path)
    if not root.is_dir():
        raise UserError(f"data.path: there is no folder {root}")
    return root


OUTSIDE = "an image outside of the class folders"


class Tree:
    """A folder of images that is being read, and what of it is passed over, by names that begin at its root."""

    def __init__(self, root: Path, nested: bool) -> None:
        self.root, self.nested = root, nested
        self.passed_over: dict[str, str] = {}

    def pass_over(self, place: str, reasons: Mapping[str, str]) -> None:
        self.passed_over |= {below(place, name): reason for name, reason in reasons.items()}

    def class_folders(self, place: str) -> dict[str, str]:
        """Return the class folders of a split's folder, by class."""
        inside = entries_of(self.root / place)
        self.pass_over(place, inside.passed_over | dict.fromkeys(inside.images, OUTSIDE))
        return self.below_class_folders({name: below(place, name) for name in inside.folders})

    def below_class_folders(self, folders: dict[str, str]) -> dict[str, str]:
        """Return the folders, by class; of nested ones those that hold images, by the ways from the first to them."""
        if not self.nested:
            return folders
        found: dict[str, str] = {}
        for name, place in folders.items():
            inside = dict.fromkeys(image.rpartition("/")[0] for image in self.images_below(place))
            found |= {name + folder.removeprefix(place): folder for folder in inside}
        return found

    def images_of(
        self, split: str, folders: Mapping[str, str], classes: tuple[str, ...], places: Mapping[str, str]
    ) -> Images:
        """Return a split's images, class by class in the order of the folders' names, and in each by file name."""
        where = self.root / places.get(split, "")
        if not folders:
            raise UserError(f"{where} holds no class folders; add them, or remove the folder")
        numbers = {name: number for number, name in enumerate(classes)}
        unknown = [name for name in folders if name not in numbers]
        if unknown:
            raise UserError(f"{where}: no such class in train: {', '.join(unknown)}{nearest(unknown[0], classes)}")
        files = {name: self.images_of_class(place) for name, place in folders.items()}
        empty = [name for name in folders if not files[name]]
        if empty and (split == "train" or len(empty) == len(folders)):
            raise UserError(self._no_image(where, empty, folders))
        ids = tuple(name for names in files.values() for name in names)
        labels = np.repeat([numbers[name] for name in files], [len(names) for names in files.values()])
        return Images(ids, labels.astype(np.int64), Files(self.root, ids))

    def images_of_class(self, place: str) -> list[str]:
        """Return the images of a class: those below its folder, or of nested classes those in it."""
        found = self.images_below(place)
        return [name for name in found if name.rpartition("/")[0] == place] if self.nested else found

    def images_below(self, place: str) -> list[str]:
        """Return the images of a folder, at any depth and behind links to folders too, but for those around them."""
        found: list[str] = []
        waiting: list[tuple[str, frozenset[tuple[int, int]]]] = [(place, frozenset())]
        while waiting:
            name, around = waiting.pop()
            try:
                identity = identity_of(self.root / name)
                inside = entries_of(self.root / name)
            except OSError as error:
                self.passed_over[name] = f"a folder that cannot be read ({error.strerror or error})"
                continue
            if identity in around:
                self.passed_over[name] = "a link to a folder around it"
                continue
            self.pass_over(name, inside.passed_over)
            found += [below(name, image) for image in inside.images]
            waiting += [(below(name, folder), around | {identity}) for folder in inside.folders]
        return sorted(found, key=lambda name: name.split("/"))

    def _no_image(self, where: Path, empty: list[str], folders: Mapping[str, str]) -> str:
        begin = tuple(f"{folders[name]}/" for name in empty)
        passed = {name: why for name, why in self.passed_over.items() if name.startswith(begin) or name + "/" in begin}
        message = f"{where}: no image in class {', '.join(empty)}; add images, or remove the empty folder"
        return "\n".join([message, *(f"  passed over: {line}" for line in in_words(passed))])


def entries_of(place: Path) -> Listing:
    """List a folder; raises OSError for one that cannot be read."""
    folders: list[str] = []
    images: list[str] = []
    passed_over: dict[str, str] = {}
    with os.scandir(place) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            reason = reason_against(entry)
            if reason is not None:
                passed_over[entry.name] = reason
            elif entry.is_dir():
                folders.append(entry.name)
            else:
                images.append(entry.name)
    return Listing(folders, images, passed_over)


def reason_against(entry: os.DirEntry[str]) -> str | None:
    """Return why an entry is neither a folder to look into nor an image to read, or None where it is one of them."""
    try:
        is_folder, is_file = entry.is_dir(), entry.is_file()
    except OSError as error:  # a link in a circle, or into a folder that is closed
        return f"cannot be read ({error.strerror or error})"
    if reading.is_hidden(entry.name):
        return reading.HIDDEN
    if is_folder:
        return None
    if not is_file:
        return reading.LEADS_NOWHERE if entry.is_symlink() else reading.NO_FILE
    if PurePosixPath(entry.name).suffix.lower() in ARCHIVES:
        return "an archive, and what it holds is not looked at: unpack it"
    return reading.why_not_read(Path(entry.name))


def split_places(root: Path, top: Listing) -> dict[str, str]:
    """Return the folders that are splits, by the split: those called so that hold class folders.

    A folder of such a name that holds images itself is a class, unless folders beside it are splits. Raises UserError
    for two folders of one split, for splits without train, and for splits without class folders.
    """
    called = {name: split for name in top.folders if (split := split_called(name))}
    within = {name: split for name in top.folders if (split := split_within(name))}
    if len(within) == len(top.folders) > 1:  # as seg_train and seg_test; a class may be called train_station
        called = within
    kinds = {name: _kind(root / name, alone=len(called) == len(top.folders)) for name in called}
    if "splits" not in kinds.values():
        if len(called) == len(top.folders) > 1 and "class" in kinds.values():
            raise UserError(
                f"{root}: {', '.join(f'{name}/' for name in called)} are called as splits are, and hold images but no "
                "class folders; make a folder for each class below them, or list the images with their labels in a "
                "CSV file. Where these are the classes' names: rename the folders"
            )
        return {}
    found: dict[str, str] = {}
    for name, split in called.items():
        if kinds[name] == "class":
            continue
        if split in found:
            raise UserError(f"{root}: {found[split]}/ and {name}/ are both the {split} split; keep one")
        found[split] = name
    if "train" not in found:
        raise UserError(f"{root} holds {', '.join(found.values())}, and no train/ with class folders to learn from")
    return {split: found[split] for split in SPLIT_FOLDERS if split in found}


def _kind(place: Path, alone: bool) -> str:
    """Return whether a folder called as a split holds class folders, "splits", or images, "class", or "nothing".

    One that holds both is a class, unless nothing but splits stands beside it.
    """
    try:
        inside = entries_of(place)
    except OSError as error:
        raise UserError(f"{place} cannot be read: {error.strerror or error}") from error
    if inside.folders and (alone or not inside.images):
        return "splits"
    return "class" if inside.images else "nothing"


def _check_classes(root: Path, places: Mapping[str, str], top: Listing, classes: Mapping[str, str]) -> None:
    if len(classes) >= 2:
        return
    where = root / places.get("train", "")
    message = f"{where} holds {len(classes)} class folders; two or more are needed, one for each class"
    hints = []
    if not places and len(classes) == 1 and (inside := _folders_of(root / next(iter(classes)))):
        hints.append(f"{root / next(iter(classes))} holds {len(inside)} folders: is it the one that is meant?")
    if not places and top.images:
        hints.append(f"{len(top.images):,} images lie in it without a folder: list them with labels in a CSV file")
    raise UserError("\n".join([message, *hints, *(f"passed over: {line}" for line in in_words(top.passed_over))]))


def _folders_of(place: Path) -> list[str]:
    try:
        return entries_of(place).folders
    except OSError:
        return []


def named(data: str | Path) -> tuple[str, str | None]:
    """Return the dataset's name and path that DATA stands for: a folder, a CSV file, or a dataset's name."""
    place = Path(data)
    if place.is_dir():
        has_shards = any(place.glob("*.tar")) or any(place.glob("*/*.tar"))
        return "shards" if has_shards and not holds_images(place) else "folder", str(data)
    if place.is_file() and place.suffix.lower() in LISTS:
        return "csv", str(data)
    if str(data) in DATASETS and str(data) not in BY_PATH:
        return str(data), None
    raise UserError(
        f"{data} is no folder, no CSV file and no dataset{nearest(str(data), DATASETS)} ({', '.join(DATASETS)})"
    )


def in_order(classes: Iterable[str]) -> tuple[str, ...]:
    """Return class names in the order of their numbers: as text, and as numbers where all of them are."""
    names = list(classes)
    as_number: Callable[[str], tuple[int, str]] = lambda name: (int(name), name)  # noqa: E731
    return tuple(sorted(names, key=as_number if all(name.isdecimal() for name in names) else None))


def holds_images(place: Path) -> bool:
    """Return whether an image lies below a folder."""
    return any(reading.why_not_read(Path(name)) is None for name in _files_below(place))


def _reason_against_folder(root: Path, name: str, places: Mapping[str, str]) -> str:
    """Return why a folder is not used where others are the splits."""
    count = sum(1 for _ in _files_below(root / name))
    files = f"{count:,} file{'s' * (count != 1)}"
    if split_called(name):
        return f"a folder of {files} without class folders, so without labels"
    return f"a folder of {files} beside the splits ({', '.join(f'{place}/' for place in places.values())})"


def _files_below(place: Path) -> Iterator[str]:
    return (name for _, _, names in os.walk(place) for name in names)


def identity_of(place: Path) -> tuple[int, int]:
    status = os.stat(place)
    return status.st_dev, status.st_ino


def below(place: str, name: str) -> str:
    return f"{place}/{name}" if place else name
