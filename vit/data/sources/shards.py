"""Images in tar files, in WebDataset's layout: `key.jpg` beside `key.cls` or `key.json`, or class folders as they are.

Every shard is looked through once for where its images lie; then each is read from its place. An epoch goes through a
few shards at a time (order.py), so that a disk or a network reads them nearly as a stream, and any process may take any
image of a step: a run goes on exactly, in as many processes as there are.
"""

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from io import BufferedReader
from pathlib import Path

import numpy as np
from PIL import Image

from ...errors import UserError, nearest
from ..decoding import reading
from .folders import in_order
from .images import Images, Source
from .shard_members import Contents, contents_of
from .shard_names import CLASSES, common_folder, shard_files, split_of
from .split_names import SPLIT_FOLDERS
from .stores import Choose, facts_of

OPEN_FILES = 64
MOST_TOLD = 20


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
    found, passed_over = shard_files(path)
    contents = looked_through(found)
    root = common_folder(found)
    by_split: dict[str, list[Path]] = defaultdict(list)
    for shard, inside in contents.items():
        name = shard.relative_to(root)
        by_split[split_of(name)].append(shard)
        passed_over |= {f"{name.as_posix()}: {member}": reason for member, reason in inside.passed_over.items()}
    if "train" not in by_split:
        raise UserError(f"{path} holds shards of {', '.join(by_split)}, and none of train to learn from")
    classes = class_names(root, [member.label for shard in by_split["train"] for member in contents[shard].images])
    if len(classes) < 2:
        raise UserError(
            f"{path}: the shards of train hold images of {len(classes)} classes; two or more are needed"
            + "".join(f"\n  {line}" for line in listed_with_reasons(passed_over))
        )
    present = [split for split in SPLIT_FOLDERS if split in by_split]
    images = {split: images_of(by_split[split], contents, classes, split) for split in present}
    return Source(classes, images, passed_over=passed_over)


def listed_with_reasons(passed_over: Mapping[str, str]) -> list[str]:
    return [f"passed over: {name}: {reason}" for name, reason in passed_over.items()][:MOST_TOLD]


def looked_through(shards: Sequence[Path]) -> dict[Path, Contents]:
    """Return what is in every shard; raises UserError with all that is wrong."""
    contents: dict[Path, Contents] = {}
    mistakes: list[str] = []
    for shard in shards:
        try:
            contents[shard] = contents_of(shard)
        except UserError as error:
            mistakes.append(str(error))
    known: dict[str, Path] = {}
    for shard, inside in contents.items():
        twice = next((member.name for member in inside.images if member.name in known), None)
        if twice is not None:
            mistakes.append(f"{shard}: {twice} stands in {known[twice].name} too; every image needs a name of its own")
        known |= {member.name: shard for member in inside.images}
    if mistakes:
        told = mistakes[:MOST_TOLD] + [f"and {len(mistakes) - MOST_TOLD} more"] * (len(mistakes) > MOST_TOLD)
        raise UserError("\n".join(told))
    return contents


def class_names(root: Path, labels: Sequence[str]) -> tuple[str, ...]:
    """Return the classes in order: as train has them, or named by the lines of classes.txt, to which numbers lead."""
    place = root / CLASSES
    if not place.is_file():
        return in_order(set(labels))
    try:
        lines = place.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{place} cannot be read as text in UTF-8: {error}") from error
    names = [line.strip() for line in lines if line.strip()]
    if len(set(names)) < len(names):
        raise UserError(f"{place}: a class stands there twice")
    return tuple(names)


def images_of(
    shards: Sequence[Path], contents: Mapping[Path, Contents], classes: tuple[str, ...], split: str
) -> Images:
    """Return the images of a split in the order of their names, whichever shards they lie in."""
    found = sorted(
        ((member, i) for i, shard in enumerate(shards) for member in contents[shard].images), key=lambda m: m[0].name
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
