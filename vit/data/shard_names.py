"""Which tar files a path stands for: those of a folder or of a numbering, all there, and the split each belongs to."""

import os
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from ..errors import UserError, listed
from .split_names import SPLIT_FOLDERS

SPLIT_OF = {name: split for split, names in SPLIT_FOLDERS.items() for name in (split, *names)}


def shard_files(path: str) -> list[Path]:
    """Return the tar files that a path stands for, in order; raises UserError that names all that are missing."""
    if braces := re.search(r"\{(\d+)\.\.(\d+)\}", path):
        first, last = braces[1], braces[2]
        numbers = (str(number).zfill(len(first)) for number in range(int(first), int(last) + 1))
        found = [Path(path[: braces.start()] + number + path[braces.end() :]) for number in numbers]
        refuse_missing([shard for shard in found if not shard.is_file()])
        return found
    root = Path(path)
    if not root.is_dir():
        raise UserError(f"data.path: there is no folder {root}")
    found = sorted(shard for shard in root.rglob("*.tar") if shard.is_file() and not shard.name.startswith("."))
    if not found:
        packed = next((shard for shard in root.rglob("*.tar.*") if shard.is_file()), None)
        hint = f"; {packed.name} is compressed, and shards are read in place: unpack it to .tar" if packed else ""
        raise UserError(f"{root} holds no tar file{hint}")
    refuse_missing(gaps(found))
    return found


def gaps(found: Sequence[Path]) -> list[Path]:
    """Return the files that are missing in a numbering: between two that are there, or of as many as a name tells."""
    series: dict[tuple[Path, str, str, int], set[int]] = defaultdict(set)
    for shard in found:
        if numbered := re.fullmatch(r"(.*?)(\d+)((?:-of-\d+)?\.tar)", shard.name):
            start, number, end = numbered.groups()
            series[shard.parent, start, end, len(number)].add(int(number))
    missing = []
    for (folder, start, end, digits), numbers in series.items():
        told = re.match(r"-of-(\d+)", end)
        first = 0 if 0 in numbers or (told and int(told[1]) not in numbers) else 1
        last = first + int(told[1]) - 1 if told else max(numbers)
        absent = sorted(set(range(first, last + 1)) - numbers)
        missing += [folder / f"{start}{number:0{digits}}{end}" for number in absent]
    return missing


def refuse_missing(missing: Sequence[Path]) -> None:
    if missing:
        count = "1 shard is" if len(missing) == 1 else f"{len(missing)} shards are"
        raise UserError("\n".join([f"{count} missing:", *listed([str(shard) for shard in missing])]))


def common_folder(shards: Sequence[Path]) -> Path:
    return Path(os.path.commonpath([shard.parent for shard in shards]))


def split_of(shard: Path) -> str:
    """Return the split that a part of a shard's name, or a folder around it, names; train where none does."""
    words = [word for part in reversed(shard.parts) for word in re.split(r"[-_.]", part.lower())]
    return next((SPLIT_OF[word] for word in words if word in SPLIT_OF), "train")
