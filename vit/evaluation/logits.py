"""evaluation/<split>.npz, the logits of a split: written plain, so that they are mapped and not loaded.

N images, C classes. Any .npz of `ids` [N], `labels` [N] or [N, C] and `logits` [N, C] is read: one that is compressed,
as older versions wrote it, is loaded.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any, BinaryIO
from zipfile import ZIP_STORED, ZipFile

import numpy as np

from ..files import replace_file
from ..report.answers import Logits, places

MEMBER = "logits.npy"
LOCAL_HEADER = 30  # bytes, before a member's name and what else is told of it (APPNOTE.TXT 4.3.7)
LENGTHS_AT = 26  # where in it the lengths of both stand
AT_ONCE = 2**22  # bytes


@dataclass(frozen=True)
class MappedLogits:
    """Logits [N, C] in a file, from a place on: those that are asked for are mapped, in single precision or double."""

    path: Path
    place: int
    kept_as: np.dtype
    shape: tuple[int, int]

    def __getitem__(self, rows: Any, /) -> np.ndarray:
        with self.path.open("rb") as file:
            pages = mmap(file.fileno(), 0, access=ACCESS_READ)  # unmapped with the last array that stands on it
        found = np.ndarray(self.shape, self.kept_as, pages, self.place)[rows]
        return found.astype(np.promote_types(self.kept_as, np.float32), copy=False)


def write(path: Path, ids: Iterable[str], labels: np.ndarray, logits: np.ndarray) -> None:
    """Write logits with the names and labels of their images; in half precision where that keeps every number."""
    kept = logits.astype(np.float16) if fits_half(logits) else logits
    replace_file(path, lambda beside: np.savez(beside, ids=np.array(ids), labels=labels, logits=kept))


def fits_half(logits: np.ndarray) -> bool:
    """Return whether half precision keeps all logits as they are, as it does those that were computed in it."""
    with np.errstate(over="ignore"):
        return all(np.array_equal(logits[rows].astype(np.float16), logits[rows]) for rows in places(logits))


def read(path: Path) -> tuple[np.ndarray, np.ndarray, Logits]:
    """Return names, labels and logits, mapped where they lie plain in the file.

    Raises whatever the file's zip, compression or arrays are wrong with: every byte is read once.
    """
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return arrays["ids"], arrays["labels"], mapped(path, file) or arrays["logits"]


def mapped(path: Path, file: BinaryIO) -> MappedLogits | None:
    """Return the logits of a file whose bytes agree with their checksum, or None where they do not lie plain in it."""
    with ZipFile(file) as archive:
        member = archive.getinfo(MEMBER)
        if member.compress_type != ZIP_STORED:
            return None
        with archive.open(member) as stream:
            if np.lib.format.read_magic(stream) != (1, 0):
                return None
            shape, by_column, kept_as = np.lib.format.read_array_header_1_0(stream)
            begin = stream.tell()
            while stream.read(AT_ONCE):  # to the end, where the checksum is compared
                pass
    plain = kept_as.kind == "f" and len(shape) == 2 and not by_column
    if not plain or member.file_size != begin + np.prod(shape) * kept_as.itemsize:
        return None
    file.seek(member.header_offset + LENGTHS_AT)
    begin += member.header_offset + LOCAL_HEADER + sum(struct.unpack("<HH", file.read(4)))
    return MappedLogits(path, begin, kept_as, (shape[0], shape[1]))
