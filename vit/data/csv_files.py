"""Images listed in a CSV file: `path,label`, or `path,labels` with none, one or several; and a `split`, or none."""

import csv
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import UserError, nearest
from .datasets import Images, Source
from .folders import in_order
from .split_names import SPLIT_FOLDERS
from .stores import Files

BETWEEN_LABELS = "|"
SPLITS = {name: split for split, names in SPLIT_FOLDERS.items() for name in (split, *names)}
LABELS = {"label", "labels"}
COLUMNS = {"path", "split", *LABELS}
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
    columns, rows = read(table)
    classes = in_order({label for row in rows if row.split == "train" for label in row.labels})
    mistakes = [*mistakes_in_header(columns), *mistakes_in(rows, columns, classes, table.parent)]
    if mistakes:
        raise UserError("\n".join([f"{table}: {len(mistakes)} to mend:", *told(mistakes)]))
    several = "labels" in columns
    found = [split for split in SPLIT_FOLDERS if any(row.split == split for row in rows)]
    return Source(classes, {split: images_of(rows, split, classes, several, table.parent) for split in found})


def read(table: Path) -> tuple[list[str], list[Row]]:
    """Return the names of the columns, and the rows as far as these name what is in them."""
    try:
        lines = table.read_text(encoding="utf-8-sig").splitlines()  # Excel begins with a byte order mark
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{table} cannot be read as text in UTF-8: {error}") from error
    header = lines[0] if lines else ""
    reader = csv.reader(lines, delimiter=max(",;\t", key=header.count))
    columns = [name.strip().lower() for name in next(reader, [])]
    return columns, [row_of(columns, cells, reader.line_num) for cells in reader if any(cells)]


def row_of(columns: list[str], cells: list[str], line: int) -> Row:
    values = dict(zip(columns, (cell.strip() for cell in cells), strict=False))
    given = values.get("labels", "").split(BETWEEN_LABELS) if "labels" in columns else [values.get("label", "")]
    labels = tuple(dict.fromkeys(label.strip() for label in given if label.strip()))
    split = values.get("split", "") if "split" in columns else "train"
    return Row(line, values.get("path", ""), labels, SPLITS.get(split.lower(), split))


def mistakes_in_header(columns: list[str]) -> Iterator[str]:
    """Yield what the first line lacks, and names that are nearly those of a column; others may stand there."""
    if "path" not in columns or ("label" in columns) == ("labels" in columns):
        yield f"line 1: the columns are {', '.join(columns) or 'missing'}; allowed: {ALLOWED}"
    absent = {"path", "split"} - set(columns) | (LABELS if LABELS.isdisjoint(columns) else set())
    for name in columns:
        if name not in COLUMNS and nearest(name, sorted(absent)):
            yield f"line 1: there is no column {name}{nearest(name, sorted(absent))}"


def mistakes_in(rows: list[Row], columns: list[str], classes: tuple[str, ...], folder: Path) -> Iterator[str]:
    """Yield what is wrong with the rows, a line each; not what a missing column already explains."""
    times, known = Counter(row.path for row in rows), set(classes)
    for row in rows:
        if "path" in columns:
            yield from mistakes_in_path(row, times[row.path], folder)
        if not row.labels and "label" in columns:
            yield f"line {row.line}: no label"
        if row.split not in SPLIT_FOLDERS:
            allowed = ", ".join(SPLIT_FOLDERS)
            yield f"line {row.line}: split {row.split or 'is empty'}{nearest(row.split, SPLIT_FOLDERS)} ({allowed})"
        for label in row.labels:
            if known and label not in known:
                yield f"line {row.line}: no image of train is {label}{nearest(label, classes)}"
    if not any(row.split == "train" for row in rows):
        yield "no image is in train"
    elif len(classes) < 2 and not LABELS.isdisjoint(columns):
        yield f"train has {len(classes)} classes; two or more are needed"


def mistakes_in_path(row: Row, times: int, folder: Path) -> Iterator[str]:
    if not row.path:
        yield f"line {row.line}: no path"
    elif not (folder / row.path).is_file():
        yield f"line {row.line}: there is no file {folder / row.path}"
    if row.path and times > 1:
        yield f"line {row.line}: {row.path} is listed {times} times; several labels stand in one row"


def told(mistakes: list[str]) -> list[str]:
    rest = len(mistakes) - MOST_TOLD
    return [f"  {mistake}" for mistake in mistakes[:MOST_TOLD]] + [f"  and {rest} more"] * (rest > 0)


def images_of(rows: list[Row], split: str, classes: tuple[str, ...], several: bool, folder: Path) -> Images:
    """Return one split; several labels become rows of a table [N, C] of what is there."""
    chosen = [row for row in rows if row.split == split]
    number = {name: i for i, name in enumerate(classes)}
    if several:
        labels = np.zeros((len(chosen), len(classes)), dtype=bool)
        for image, row in enumerate(chosen):
            labels[image, [number[label] for label in row.labels]] = True
    else:
        labels = np.array([number[row.labels[0]] for row in chosen], dtype=np.int64)
    names = tuple(row.path for row in chosen)
    return Images(names, labels, Files(folder, names))
