"""Images in tar files, in WebDataset's layout: `key.jpg` beside `key.cls` or `key.json`, or class folders as they are.

Every shard is looked through once for where its images lie; then each is read from its place. An epoch goes through a
few shards at a time (order.py), so that a disk or a network reads them nearly as a stream, and any process may take any
image of a step: a run goes on exactly, in as many processes as there are.
"""

import json
import os
import tarfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from io import BufferedReader
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from ..errors import UserError, nearest
from . import reading
from .datasets import Images, Source
from .folders import in_order
from .shard_names import common_folder, shard_files, split_of
from .split_names import SPLIT_FOLDERS
from .stores import Choose, facts_of

CLASSES = "classes.txt"
IN_JSON = ("cls", "label", "class_name")  # names of the class, in this order
BLOCK = tarfile.BLOCKSIZE
OPEN_FILES = 64
MOST_TOLD = 20


@dataclass(frozen=True)
class Member:
    """One image of a shard: its name, its place in bytes, and its class as it is written."""

    name: str
    offset: int
    size: int
    label: str


@dataclass(frozen=True)
class Shards:
    """Images inside of tar files: for each its shard's number, and where it lies there."""

    paths: tuple[Path, ...]
    names: tuple[str, ...]
    shard_of: np.ndarray
    offsets: np.ndarray
    sizes: np.ndarray
    encoded = True

    def address(self, number: int) -> str:
        return f"{self.paths[self.shard_of[number]]}: {self.names[number]}"

    def facts(self, number: int) -> tuple:
        path = self.paths[self.shard_of[number]]
        return *facts_of(path), int(self.offsets[number]), int(self.sizes[number])

    def decode(self, number: int) -> Image.Image:
        return reading.decode(self.content(number), self.address(number))

    def region(self, number: int, choose: Choose, size: tuple[int, int]) -> np.ndarray:
        return reading.region(self.content(number), self.address(number), choose, size)

    def content(self, number: int) -> bytes:
        size = int(self.sizes[number])
        try:
            file = _opened(self.paths[self.shard_of[number]])
            data = os.pread(file.fileno(), size, int(self.offsets[number]))
        except OSError as error:
            raise UserError(f"{self.address(number)}: {error.strerror or error}") from error
        if len(data) < size:
            raise UserError(f"{self.address(number)}: the shard has been cut short since it was looked through")
        return data


@lru_cache(OPEN_FILES)
def _opened(path: Path) -> BufferedReader:
    return path.open("rb")


def sharded(*, path: str | None = None) -> Source:
    """Return the images of a folder of tar files, or of those that a name with {000..146} stands for.

    A shard belongs to the split that a part of its name or its folder names, else to train. Raises UserError for shards
    that are missing or cut short, and for images without a class.
    """
    if path is None:
        raise UserError("data.path is missing: name the folder of tar files, or them as train-{000..146}.tar")
    found = shard_files(path)
    members = looked_through(found)
    root = common_folder(found)
    by_split: dict[str, list[Path]] = defaultdict(list)
    for shard in found:
        by_split[split_of(shard.relative_to(root))].append(shard)
    if "train" not in by_split:
        raise UserError(f"{path} holds shards of {', '.join(by_split)}, and none of train to learn from")
    classes = class_names(root, [member.label for shard in by_split["train"] for member in members[shard]])
    return Source(
        classes,
        {split: images_of(by_split[split], members, classes, split) for split in SPLIT_FOLDERS if split in by_split},
    )


def looked_through(shards: Sequence[Path]) -> dict[Path, list[Member]]:
    """Return the images of every shard; raises UserError with all that is wrong."""
    members: dict[Path, list[Member]] = {}
    mistakes: list[str] = []
    for shard in shards:
        try:
            members[shard] = list(members_of(shard))
        except UserError as error:
            mistakes.append(str(error))
    known: dict[str, Path] = {}
    for shard, inside in members.items():
        twice = next((member.name for member in inside if member.name in known), None)
        if twice is not None:
            mistakes.append(f"{shard}: {twice} stands in {known[twice].name} too; every image needs a name of its own")
        known |= {member.name: shard for member in inside}
    if mistakes:
        told = mistakes[:MOST_TOLD] + [f"and {len(mistakes) - MOST_TOLD} more"] * (len(mistakes) > MOST_TOLD)
        raise UserError("\n".join(told))
    return members


def members_of(shard: Path) -> Iterator[Member]:
    """Yield the images of a shard; raises UserError for one that is cut short, or has images without a class."""
    files = files_of(shard)
    if not files:
        raise UserError(f"{shard}: an empty shard")
    beside: dict[str, list[str]] = defaultdict(list)
    for name in sorted(files):  # .cls before .json
        if name.endswith((".cls", ".json")):
            beside[key(name)].append(name)
    unlabelled: list[str] = []
    with shard.open("rb") as file:
        for name, (offset, size) in files.items():
            path = PurePosixPath(name)
            if path.suffix.lower() not in reading.SUFFIXES or path.name.startswith("."):
                continue
            if not beside:
                label = path.parent.name
            elif key(name) + path.suffix != name:  # key.seg.png, say, which is no photograph of its own
                continue
            else:
                label = next(filter(None, (label_in(file, *files[other], other) for other in beside[key(name)])), None)
            if label:
                yield Member(name, offset, size, label)
            else:
                unlabelled.append(name)
    if unlabelled:
        raise UserError(
            f"{shard}: images without a class: {len(unlabelled)}, {unlabelled[0]} the first; "
            "give key.cls or key.json beside key.jpg, or a class folder in the name"
        )


def files_of(shard: Path) -> dict[str, tuple[int, int]]:
    """Return the files of a tar file, with the place and size of each; raises UserError for one that is cut short."""
    length = shard.stat().st_size
    try:
        with tarfile.open(shard, "r:") as archive, shard.open("rb") as file:
            inside = [member for member in archive if member.isfile()]
            file.seek(archive.offset)
            whole = file.read(BLOCK) == bytes(BLOCK)  # two blocks of zeros end a tar file
    except (tarfile.TarError, EOFError, OSError) as error:
        raise UserError(f"{shard}: cut short or no tar file ({error})") from error
    cut = next((member.name for member in inside if member.offset_data + member.size > length), None)
    if cut is not None or not whole:
        where = f"in {cut}" if cut else f"behind {inside[-1].name}" if inside else "at its beginning"
        raise UserError(f"{shard}: cut short or damaged {where}; copy it again")
    return {member.name.removeprefix("./"): (member.offset_data, member.size) for member in inside}


def key(name: str) -> str:
    """Return what the files of one sample share: all up to the first dot of the file's own name."""
    folder, slash, file = name.rpartition("/")
    return folder + slash + file.partition(".")[0]


def label_in(file: BufferedReader, offset: int, size: int, name: str) -> str | None:
    """Return the class that the file beside an image names, or None where it names none."""
    file.seek(offset)
    text = file.read(size).decode("utf-8", errors="replace").strip()
    if name.endswith(".cls"):
        return text
    try:
        values = json.loads(text)
    except json.JSONDecodeError:
        return None
    found = next((values[name] for name in IN_JSON if name in values), None) if isinstance(values, dict) else values
    return str(found) if isinstance(found, str | int) else None


def class_names(root: Path, labels: Sequence[str]) -> tuple[str, ...]:
    """Return the classes in order: as train has them, or named by the lines of classes.txt, to which numbers lead."""
    place = root / CLASSES
    if not place.is_file():
        return in_order(set(labels))
    names = [line.strip() for line in place.read_text(encoding="utf-8").splitlines() if line.strip()]
    if len(set(names)) < len(names):
        raise UserError(f"{place}: a class stands there twice")
    return tuple(names)


def images_of(
    shards: Sequence[Path], members: dict[Path, list[Member]], classes: tuple[str, ...], split: str
) -> Images:
    """Return the images of a split in the order of their names, whichever shards they lie in."""
    found = sorted(
        ((member, i) for i, shard in enumerate(shards) for member in members[shard]), key=lambda m: m[0].name
    )
    numbers = {name: number for number, name in enumerate(classes)}
    if not any(member.label in numbers for member, _ in found):  # classes.txt names numbers
        numbers |= {str(number): number for number in range(len(classes))}
    unknown = sorted({member.label for member, _ in found} - numbers.keys())
    if unknown:
        listed = ", ".join(unknown[:MOST_TOLD])
        raise UserError(f"the {split} shards have classes that train has not: {listed}{nearest(unknown[0], classes)}")
    names = tuple(member.name for member, _ in found)
    store = Shards(
        tuple(shards),
        names,
        np.array([i for _, i in found]),
        np.array([member.offset for member, _ in found]),
        np.array([member.size for member, _ in found]),
    )
    return Images(names, np.array([numbers[member.label] for member, _ in found], dtype=np.int64), store)
