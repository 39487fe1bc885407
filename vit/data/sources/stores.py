"""Where images are kept: in files, in memory, or in several such places. Each gives its images by number."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from PIL import Image

from ..decoding import reading
from ..decoding.jpeg import Box

Choose = Callable[[int, int], Box]  # width and height of an image -> the part of it that is wanted


class Store(Protocol):
    """Images by number; `decode` and `region` raise UserError for one that cannot be decoded."""

    @property
    def encoded(self) -> bool:
        """Whether reading may fail, and takes the time of decoding."""
        ...

    def address(self, number: int) -> str:
        """Return the place of an image, for messages."""
        ...

    def facts(self, number: int) -> tuple:
        """Return what changes when the image does."""
        ...

    def content(self, number: int) -> bytes:
        """Return what is kept of an image as it is, encoded or not; raises UserError for one that cannot be read."""
        ...

    def decode(self, number: int) -> Image.Image:
        """Return an upright RGB image; to be called inside of `reading.own_warnings`."""
        ...

    def region(self, number: int, choose: Choose, size: tuple[int, int]) -> np.ndarray:
        """Return a box of an image, [h, w, 3], at its own scale or a smaller one that is still of height and width
        `size`."""
        ...


@runtime_checkable
class Sharded(Protocol):
    """A store of files that hold many images each."""

    shard_of: np.ndarray  # the file's number for every image


@dataclass(frozen=True)
class Files:
    """Image files below a folder."""

    folder: Path
    names: tuple[str, ...]
    encoded = True

    def address(self, number: int) -> str:
        return str(self.folder / self.names[number])

    def facts(self, number: int) -> tuple:
        return facts_of(self.folder / self.names[number])

    def content(self, number: int) -> bytes:
        return reading.content_of(self.folder / self.names[number])

    def decode(self, number: int) -> Image.Image:
        return reading.decode_file(self.folder / self.names[number])

    def region(self, number: int, choose: Choose, size: tuple[int, int]) -> np.ndarray:
        return reading.decode_region(self.folder / self.names[number], choose, size)


@dataclass(frozen=True)
class Pixels:
    """Decoded images, uint8 [height, width, 3] each; those of one size may be one array [N, height, width, 3]."""

    array: np.ndarray | Sequence[np.ndarray]
    encoded = False

    def address(self, number: int) -> str:
        return f"image {number}"

    def facts(self, number: int) -> tuple:
        return (self.array[number].tobytes(),)

    def content(self, number: int) -> bytes:
        return self.array[number].tobytes()

    def decode(self, number: int) -> Image.Image:
        return Image.fromarray(self.array[number])

    def region(self, number: int, choose: Choose, size: tuple[int, int]) -> np.ndarray:
        return cut(self.array[number], choose)


@dataclass(frozen=True)
class ConcatStore:
    """Some images of several stores, one behind the other: for each of them its store's number and its own in it."""

    stores: tuple[Store, ...]
    which: np.ndarray
    numbers: np.ndarray

    @property
    def encoded(self) -> bool:
        return any(store.encoded for store in self.stores)

    def _found(self, number: int) -> tuple[Store, int]:
        return self.stores[self.which[number]], int(self.numbers[number])

    def address(self, number: int) -> str:
        store, inside = self._found(number)
        return store.address(inside)

    def facts(self, number: int) -> tuple:
        store, inside = self._found(number)
        return store.facts(inside)

    def content(self, number: int) -> bytes:
        store, inside = self._found(number)
        return store.content(inside)

    def decode(self, number: int) -> Image.Image:
        store, inside = self._found(number)
        return store.decode(inside)

    def region(self, number: int, choose: Choose, size: tuple[int, int]) -> np.ndarray:
        store, inside = self._found(number)
        return store.region(inside, choose, size)


def facts_of(path: Path) -> tuple:
    """Return what changes when a file does: name, size, times; a copy may bring the time of its writing along."""
    try:
        status = os.stat(path)
    except OSError:
        return (str(path.absolute()),)
    return str(path.absolute()), status.st_size, status.st_mtime_ns, status.st_ctime_ns


def cut(pixels: np.ndarray, choose: Choose) -> np.ndarray:
    """Return the box that `choose` names for the width and height of pixels [height, width, 3]."""
    left, top, right, bottom = choose(pixels.shape[1], pixels.shape[0])
    return pixels[top:bottom, left:right]
