"""Images listed in a CSV file: `path,label`, or `path,labels` with none, one or several; and a `split`, or none."""

import csv
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import UserError, nearest
from .datasets import SPLIT_FOLDERS, Images, Source, in_order

BETWEEN_LABELS = "|"
SPLITS = {name: split for split, names in SPLIT_FOLDERS.items() for name in (split, *names)}
ALLOWED = f"path,label or path,labels (several, with {BETWEEN_LABELS} between), and split where it is known"
MOST_TOLD = 20


@dataclass(frozen=True)
class Row:
    """One image: the line it stands on, its path as written, its labels, and its split."""

    line: int
    path: str
    labels: tuple[str, ...]
    split: str


def listed(*, path: str | None = None) -> Source:
    """Return the images of a CSV file, whose paths begin at its folder; raises UserError with all that is wrong."""
    if path is None:
        raise UserError("data.path is missing: name the CSV file, for example data.path=labels.csv")
    table = Path(path)
    rows, several = read(table)
    mistakes = [*mistakes_in(rows, several, table.parent)]
    if mistakes:
        raise UserError("\n".join([f"{table}: {len(mistakes)} to mend:", *told(mistakes)]))
    classes = in_order({label for row in rows if row.split == "train" for label in row.labels})
    if len(classes) < 2:
        raise UserError(f"{table} names {len(classes)} classes in train; two or more are needed")
    unknown = [f"line {row.line}: {x}" for row in rows for x in row.labels if x not in classes]
    if unknown:
        raise UserError("\n".join([f"{table}: classes that no image of train has:", *told(unknown)]))
    found = [split for split in SPLIT_FOLDERS if any(row.split == split for row in rows)]
    return Source(classes, {split: images_of(rows, split, classes, several, table.parent) for split in found})


def read(table: Path) -> tuple[list[Row], bool]:
    """Return the rows, and whether an image may have several labels."""
    try:
        lines = table.read_text(encoding="utf-8-sig").splitlines()  # Excel begins with a byte order mark
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{table} cannot be read as text in UTF-8: {error}") from error
    header = lines[0] if lines else ""
    reader = csv.reader(lines, delimiter=max(",;\t", key=header.count))
    columns = [name.strip().lower() for name in next(reader, [])]
    several = "labels" in columns
    if "path" not in columns or ("label" in columns) == several:
        raise UserError(f"{table} begins with {header[:80]!r}; its first line must name the columns {ALLOWED}")
    return [row_of(columns, cells, reader.line_num, several) for cells in reader if any(cells)], several


def row_of(columns: list[str], cells: list[str], line: int, several: bool) -> Row:
    values = dict(zip(columns, (cell.strip() for cell in cells), strict=False))
    given = values.get("labels", "").split(BETWEEN_LABELS) if several else [values.get("label", "")]
    labels = tuple(dict.fromkeys(label.strip() for label in given if label.strip()))
    split = values.get("split", "") if "split" in columns else "train"
    return Row(line, values.get("path", ""), labels, SPLITS.get(split.lower(), split))


def mistakes_in(rows: list[Row], several: bool, folder: Path) -> Iterator[str]:
    """Yield what is wrong, a line each."""
    times = Counter(row.path for row in rows)
    for row in rows:
        if not row.path:
            yield f"line {row.line}: no path"
        elif not (folder / row.path).is_file():
            yield f"line {row.line}: there is no file {folder / row.path}"
        elif times[row.path] > 1:
            yield f"line {row.line}: {row.path} is listed {times[row.path]} times; several labels stand in one row"
        if not row.labels and not several:
            yield f"line {row.line}: no label"
        if row.split not in SPLIT_FOLDERS:
            known = ", ".join(SPLIT_FOLDERS)
            yield f"line {row.line}: split {row.split or 'is empty'}{nearest(row.split, SPLIT_FOLDERS)} ({known})"
    if not any(row.split == "train" for row in rows):
        yield "no image is in train"


def told(mistakes: list[str]) -> list[str]:
    rest = len(mistakes) - MOST_TOLD
    return [f"  {mistake}" for mistake in mistakes[:MOST_TOLD]] + [f"  and {rest} more"] * (rest > 0)


def images_of(rows: list[Row], split: str, classes: tuple[str, ...], several: bool, folder: Path) -> Images:
    """Return one split; several labels become rows of a table [N, C] of what is there."""
    chosen = [row for row in rows if row.split == split]
    number = {name: i for i, name in enumerate(classes)}
    labels = np.array([number[row.labels[0]] for row in chosen] if not several else [], dtype=np.int64)
    if several:
        labels = np.zeros((len(chosen), len(classes)), dtype=bool)
        for image, row in enumerate(chosen):
            labels[image, [number[label] for label in row.labels]] = True
    return Images(tuple(row.path for row in chosen), labels, folder=folder)
