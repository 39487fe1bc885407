"""Images listed in a CSV file: `path,label`, or `path,labels` with none, one or several; and a `split`, or none."""

import csv
import io
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import UserError, nearest
from .datasets import Images, Source
from .folders import in_order
from .split_names import SPLIT_FOLDERS, SPLITS
from .stores import Files

BETWEEN_LABELS = "|"
LABELS = {"label", "labels"}
COLUMNS = {"path", "split", *LABELS}
ALLOWED = f"path,label or path,labels (several, with {BETWEEN_LABELS} between), and split where it is known"
ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)  # of the web, or of a store
MOST_TOLD = 20
MOST_GUESSED = 1_000  # classes among which the nearest is looked for
LONGEST = 255  # characters of a label: what is longer is a text about the image
LARGEST_TABLE = 2**32  # images times labels, a byte each

Mistake = tuple[str, str, Sequence[str]]  # what is wrong; a name, and those allowed, for the nearest to be named


@dataclass(frozen=True)
class Row:
    """One image: its line, its path as written and from the list's folder, its labels, its split, a fault of cells."""

    line: int
    path: str
    place: str
    labels: tuple[str, ...]
    split: str
    fault: str = ""


def listed(*, path: str | None = None) -> Source:
    """Return the images of a CSV file, whose paths begin at its folder; raises UserError with all that is wrong."""
    if path is None:
        raise UserError("data.path is missing: name the CSV file, for example data.path=labels.csv")
    table = Path(path)
    columns, rows, unread = read(table)
    classes = in_order({label for row in rows if row.split == "train" for label in row.labels if len(label) <= LONGEST})
    mistakes = [*unread, *mistakes_in_header(columns), *mistakes_in(rows, columns, classes, table.parent)]
    if mistakes:
        raise UserError("\n".join([f"{table}: {len(mistakes)} to mend:", *told(mistakes)]))
    several = "labels" in columns
    found = [split for split in SPLIT_FOLDERS if any(row.split == split for row in rows)]
    return Source(classes, {split: images_of(rows, split, classes, several, table.parent) for split in found})


def read(table: Path) -> tuple[list[str], list[Row], list[Mistake]]:
    """Return the names of the columns, the rows as far as these name what is in them, and what ended the reading."""
    text = text_of(table)
    header = text[: next((found.start() for found in re.finditer(r"[\r\n]", text)), len(text))]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=header.count), strict=True)
    columns: list[str] = []
    rows: list[Row] = []
    line = 1  # where the next row begins
    try:
        columns = [name.strip().lower() for name in next(reader, [])]
        line = reader.line_num + 1
        for cells in reader:
            if any(cells):
                rows.append(row_of(columns, cells, reader.line_num, table.parent))
            line = reader.line_num + 1
    except csv.Error as error:
        return columns, rows, [(f"line {line}: {error}; is a quote opened there that nothing closes?", "", ())]
    return columns, rows, []


def text_of(table: Path) -> str:
    """Return a file's text; raises UserError, with the line, for what is none in UTF-8."""
    try:
        if not table.is_file():
            raise UserError(f"{table} cannot be read as text in UTF-8: there is no such file")
        data = table.read_bytes()
        if b"\0" in data:
            raise UserError(f"{table} cannot be read as text in UTF-8: it holds zero bytes; save it as UTF-8")
        return data.decode("utf-8-sig")  # Excel begins with a byte order mark
    except OSError as error:
        raise UserError(f"{table} cannot be read as text in UTF-8: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise UserError(f"{table} cannot be read as text in UTF-8: {error} on line {line}; save it as UTF-8") from error


def row_of(columns: list[str], cells: list[str], line: int, folder: Path) -> Row:
    values = dict(zip(columns, (cell.strip() for cell in cells), strict=False))
    path = values.get("path", "")
    given = values.get("labels", "").split(BETWEEN_LABELS) if "labels" in columns else [values.get("label", "")]
    labels = tuple(dict.fromkeys(label.strip() for label in given if label.strip()))
    split = values.get("split", "") if "split" in columns else "train"
    fault = ""
    if any(cell.strip() for cell in cells[len(columns) :]):
        fault = (
            f"{len(cells)} cells for {len(columns)} columns; a name that holds the sign between them stands in quotes"
        )
    elif "labels" in columns and "labels" not in values:
        fault = f"{len(cells)} cells for {len(columns)} columns; an image without labels has an empty cell"
    return Row(line, path, place_of(path, folder), labels, SPLITS.get(split.lower(), split), fault)


def place_of(path: str, folder: Path) -> str:
    """Return the way from the folder to what a path means: as it is written, with backslashes, from the home folder."""
    usual = path.replace("\\", "/")
    ways = dict.fromkeys((path, usual, os.path.expanduser(usual)))
    return next((way for way in ways if os.path.isfile(folder / way)), path)


def mistakes_in_header(columns: list[str]) -> Iterator[Mistake]:
    """Yield what the first line lacks, and names that are nearly those of a column; others may stand there."""
    if "path" not in columns or ("label" in columns) == ("labels" in columns):
        yield f"line 1: the columns are {', '.join(columns) or 'missing'}; allowed: {ALLOWED}", "", ()
    for name in sorted(COLUMNS):
        if columns.count(name) > 1:
            yield f"line 1: the column {name} stands there {columns.count(name)} times", "", ()
    absent = sorted({"path", "split"} - set(columns) | (LABELS if LABELS.isdisjoint(columns) else set()))
    for name in columns:
        if name not in COLUMNS and nearest(name, absent):
            yield f"line 1: there is no column {name}", name, absent


def mistakes_in(rows: list[Row], columns: list[str], classes: tuple[str, ...], folder: Path) -> Iterator[Mistake]:
    """Yield what is wrong with the rows, a line each; not what a missing column already explains."""
    times, known = Counter(file_of(row, folder) for row in rows), set(classes)
    guessed = classes if len(classes) <= MOST_GUESSED else ()
    for row in rows:
        if row.fault:
            yield f"line {row.line}: {row.fault}", "", ()
            continue
        if "path" in columns:
            place = file_of(row, folder)
            yield from ((fault, "", ()) for fault in faults_of_path(row, times[place], place))
        if not row.labels and "label" in columns:
            yield f"line {row.line}: no label", "", ()
        if row.split not in SPLIT_FOLDERS:
            given = row.split or "is empty, and"
            yield f"line {row.line}: split {given} is none of {', '.join(SPLIT_FOLDERS)}", row.split, (*SPLIT_FOLDERS,)
        for label in row.labels:
            if len(label) > LONGEST:
                yield f"line {row.line}: a label of {len(label):,} characters, {label[:40]}...", "", ()
            elif known and label not in known:
                yield f"line {row.line}: no image of train is {label}", label, guessed
    if not any(row.split == "train" for row in rows):
        yield "no image is in train", "", ()
    elif len(classes) < 2 and not LABELS.isdisjoint(columns):
        yield f"train has {len(classes)} classes; two or more are needed", "", ()
    elif "labels" in columns and len(rows) * len(classes) > LARGEST_TABLE:
        yield f"{len(classes):,} different labels of {len(rows):,} images; a label is a class, which many share", "", ()


def file_of(row: Row, folder: Path) -> str:
    return os.path.normpath(folder / row.place)


def faults_of_path(row: Row, times: int, place: str) -> Iterator[str]:
    if not row.path:
        yield f"line {row.line}: no path"
    elif ADDRESS.match(row.path):
        yield f"line {row.line}: {shortened(row.path)} is an address; fetch it, and name its file"
    elif os.path.isdir(place):
        yield f"line {row.line}: {place} is a folder; a row names one image"
    elif not os.path.isfile(place):
        yield f"line {row.line}: there is no file {shortened(place)}"
    if row.path and times > 1:
        yield f"line {row.line}: {shortened(row.path)} is listed {times} times; several labels stand in one row"


def shortened(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}... ({len(text):,} characters)"


def told(mistakes: list[Mistake]) -> list[str]:
    rest = len(mistakes) - MOST_TOLD
    shown = [f"  {text}{nearest(name, allowed)}" for text, name, allowed in mistakes[:MOST_TOLD]]
    return shown + [f"  and {rest} more"] * (rest > 0)


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
    return Images(tuple(row.path for row in chosen), labels, Files(folder, tuple(row.place for row in chosen)))
