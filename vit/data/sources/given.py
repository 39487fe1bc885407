"""Images as a command is given them: files, and folders of files."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from ...errors import UserError
from ..decoding.reading import NOT_READ, is_hidden, is_image_name

Item = TypeVar("Item")


def image_files(paths: Sequence[str | Path]) -> tuple[list[Path], list[str]]:
    """Return the files given and the images below the folders given, in order of name; and what is not, with reasons.

    Below a folder hidden files are left out, and what is no image by its name. Raises UserError where nothing is left.
    """
    files: list[Path] = []
    complaints: list[str] = []
    for given in paths:
        path = _given(given)
        if os.path.isdir(path):
            inside, left_out = _images_below(path)
            files += inside
            complaints += left_out if inside or left_out else [f"{path} holds no images"]
        elif os.path.lexists(path) or not _is_absent(path):
            files.append(path)  # what it is, reading tells
        else:
            complaints.append(f"{given}: no such file or folder")
    if not files:
        raise UserError("\n".join(complaints))
    return files, complaints


def evenly(items: Sequence[Item], most: int) -> list[Item]:
    """Return items, or of many some, evenly taken."""
    count = min(most, len(items))
    return [items[i * len(items) // count] for i in range(count)]


def _given(path: str | Path) -> Path:
    """Return a path; ~ at its beginning is the home where nothing here is called so."""
    return Path(path if os.path.lexists(path) else os.path.expanduser(path))


def _is_absent(path: Path) -> bool:
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):
        return False  # it may be there, and cannot be looked at
    return False


def _images_below(folder: Path) -> tuple[list[Path], list[str]]:
    """Return the images below a folder, links to folders followed, and what looks like images and is not read."""
    files: list[Path] = []
    complaints: list[str] = []
    seen = {os.path.realpath(folder)}

    def unreadable(error: OSError) -> None:
        complaints.append(f"{error.filename}: {error.strerror}")

    for place, folders, names in os.walk(folder, onerror=unreadable, followlinks=True):
        inside = {name: os.path.realpath(os.path.join(place, name)) for name in folders if not is_hidden(name)}
        folders[:] = [name for name, real in inside.items() if real not in seen]  # a link may lead back
        seen |= set(inside.values())
        for path in (Path(place, name) for name in names):
            if is_image_name(path):
                files.append(path)
            elif not is_hidden(path.name) and path.suffix.lower() in NOT_READ:
                complaints.append(f"{path}: {NOT_READ[path.suffix.lower()]}")
    return sorted(files), sorted(complaints)
