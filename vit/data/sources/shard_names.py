"""Which tar files a path stands for: those of a folder or of a numbering, all there, and the split each belongs to."""

import os
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from ...errors import UserError, listed
from .split_names import SPLITS

CLASSES = "classes.txt"
MOST_SHARDS = 1_000_000  # of one numbering
MOST_MISSING = 10  # times as many as there are: more, and the numbers are dates, say, and count nothing


def shard_files(path: str) -> tuple[list[Path], dict[str, str]]:
    """Return the tar files that a path stands for, in order, and what lies beside them, by name with the reason.

    Raises UserError that names all that are missing.
    """
    if braces := re.search(r"\{(\d+)\.\.(\d+)\}", path):
        return numbered(path, braces), {}
    root = Path(path)
    if not root.is_dir():
        raise UserError(f"data.path: there is no folder {root}")
    found, passed_over = looked_for(root)
    if not found:
        packed = next((name for name, reason in passed_over.items() if reason.startswith("compressed")), None)
        hint = f"; {packed} is compressed, and shards are read in place: unpack it to .tar" if packed else ""
        raise UserError(f"{root} holds no tar file{hint}")
    refuse_missing(gaps(found))
    return found, passed_over


def numbered(path: str, braces: re.Match[str]) -> list[Path]:
    """Return the files of {first..last}, which must all be there."""
    first, last = braces[1], braces[2]
    if max(len(first), len(last)) > len(str(MOST_SHARDS)) + 3 or not 0 <= int(last) - int(first) < MOST_SHARDS:
        raise UserError(
            f"data.path: {braces[0]} counts down, or to more than {MOST_SHARDS:,} shards; allowed: {{first..last}}, "
            "for example train-{000..146}.tar"
        )
    numbers = (str(number).zfill(len(first)) for number in range(int(first), int(last) + 1))
    found = [Path(path[: braces.start()] + number + path[braces.end() :]) for number in numbers]
    refuse_missing([shard for shard in found if not os.path.isfile(shard)])
    return found


def looked_for(root: Path) -> tuple[list[Path], dict[str, str]]:
    """Return the tar files below a folder, in order, and all other entries, by name with the reason."""
    found: list[Path] = []
    passed_over: dict[str, str] = {}

    def unreadable(error: OSError) -> None:
        passed_over[os.path.relpath(error.filename, root)] = f"a folder that cannot be read ({error.strerror})"

    for folder, folders, files in os.walk(root, onerror=unreadable):
        linked = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        passed_over |= {
            Path(folder, name).relative_to(root).as_posix(): "a link to a folder, not followed" for name in linked
        }
        for name in files:
            shard = Path(folder, name)
            reason = reason_against(shard, shard.relative_to(root))
            if reason is None:
                found.append(shard)
            elif reason:
                passed_over[shard.relative_to(root).as_posix()] = reason
    return sorted(found), passed_over


def reason_against(file: Path, inside: Path) -> str | None:
    """Return why a file below a folder is no shard of it; nothing for the list of classes, and None for a shard."""
    if inside == Path(CLASSES):
        return ""
    if any(part.startswith(".") for part in inside.parts):
        return "hidden"
    if not os.path.isfile(file):
        return "a link that leads nowhere, or no file"
    if ".tar." in file.name.lower() or file.suffix.lower() == ".tgz":
        return "compressed; unpack it to .tar"
    return None if file.suffix.lower() == ".tar" else "no tar file"


def gaps(found: Sequence[Path]) -> list[Path]:
    """Return the files that are missing in a numbering: between two that are there, or of as many as a name tells.

    A numbering that is mostly gaps is none. Raises UserError for one that tells of more shards than there can be.
    """
    series: dict[tuple[Path, str, str, int], set[int]] = defaultdict(set)
    for shard in found:
        if parts := re.fullmatch(r"(.*?)(\d+)((?:-of-\d+)?\.tar)", shard.name, re.IGNORECASE):
            start, number, end = parts.groups()
            series[shard.parent, start, end, len(number)].add(int(number))
    missing = []
    for (folder, start, end, digits), numbers in series.items():
        told = re.match(r"-of-(\d+)", end)
        first = 0 if 0 in numbers or (told and int(told[1]) not in numbers) else 1
        last = first + int(told[1]) - 1 if told else max(numbers)
        if told and last > MOST_SHARDS:
            raise UserError(
                f"{folder}: {start}{min(numbers):0{digits}}{end} is said to be one of {int(told[1]):,} shards"
            )
        if not told and last > (MOST_MISSING + 1) * len(numbers):
            continue
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
    return next((SPLITS[word] for word in words if word in SPLITS), "train")
