"""Images that belong together, which no cut may part: of one patient, of one series, copies of one another."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ...errors import UserError, listed, nearest
from ...files import write_csv, write_text
from ...places import expanded

COLUMNS = ("image", "group")


def group_numbers(ids: Sequence[str], groups: Mapping[str, str]) -> np.ndarray:
    """Return the number of each image's group, by the names of both: int [N], in the order of first images.

    An image that no group is known of is alone; images of one name are together.
    """
    keys = [("group", groups[name]) if name in groups else ("image", name) for name in map(as_text, ids)]
    numbers: dict[tuple[str, str], int] = {}
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)


def read_groups(path: str, ids: Sequence[str]) -> dict[str, str]:
    """Return the group of every image that a CSV file gives one; raises UserError for names that are no image's."""
    from .csv_files import text_of  # which imports what imports this

    place = expanded(path)
    if not place.is_file():
        raise UserError(f"there is no {place}; bring it back, or say where it is now: data.groups=FILE.csv")
    reader = csv.reader(io.StringIO(text_of(place), newline=""), strict=True)
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        if not set(COLUMNS) <= set(header):
            raise UserError(f"data.groups: {place} has the columns {', '.join(header)}; needed: {', '.join(COLUMNS)}")
        image, group = (header.index(name) for name in COLUMNS)
        rows = [(cells[image], cells[group].strip()) for cells in reader if len(cells) > max(image, group)]
    except csv.Error as error:
        raise UserError(f"data.groups: {place}, line {reader.line_num}: {error}") from error
    found: dict[str, str] = {}
    for name, number in rows:
        if found.setdefault(name, number) != number:
            raise UserError(f"data.groups: {place} gives {name} two groups, {found[name]} and {number}; leave one")
    known = set(map(as_text, ids))
    unknown = [name for name in found if name not in known]
    if unknown:
        lines = [f"{name}{nearest(name, known) if len(known) < 10_000 else ''}" for name in unknown[:20]]
        raise UserError(
            f"data.groups: {len(unknown):,} of {len(found):,} names in {place} are no images of the data "
            f"(called as {ids[0]}); mend or remove these lines:\n" + "\n".join(listed([*lines, *unknown[20:]]))
        )
    return {name: number for name, number in found.items() if number}


def write_groups(path: Path, groups: Sequence[Sequence[str]]) -> None:
    """Write groups of images' names as `read_groups` reads them; each is called by its number."""
    rows = [{"image": as_text(name), "group": str(number)} for number, names in enumerate(groups) for name in names]
    if rows:
        write_csv(path, rows)
    else:
        write_text(path, ",".join(COLUMNS) + "\n")


def as_text(name: str) -> str:
    """Return a name as a file in UTF-8 can hold it."""
    return name.encode(errors="backslashreplace").decode()
