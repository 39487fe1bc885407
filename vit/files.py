"""Files that are whole or not there: text, JSON and CSV, written beside the former file and renamed."""

import csv
import io
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from hashlib import file_digest
from pathlib import Path
from secrets import token_hex
from typing import Any

from .errors import UserError

MOST_LINES = 100  # of numbers in JSON
UNFINISHED = "new-"  # begins the names of files that are being written


def write_json(path: Path, values: Any) -> None:
    write_text(path, json_text(values))


def json_text(values: Any) -> str:
    """Return JSON with a value a line, but many numbers on one: a table of 1,000 classes has a million."""
    return "".join(_json_parts(values, "\n")) + "\n"


def _json_parts(values: Any, line: str) -> Iterator[str]:
    """Yield the text of values whose lines begin like `line`, as `json.dumps` indents them."""
    inner, rows = line + "  ", isinstance(values, list | tuple)
    if not values or not (rows or isinstance(values, dict)) or _are_many_numbers(values):
        yield json.dumps(values)
        return
    opened, closed = "[]" if rows else "{}"
    named = (("", each) for each in values) if rows else ((f"{_json_key(key)}: ", each) for key, each in values.items())
    for i, (name, each) in enumerate(named):
        yield f"{',' if i else opened}{inner}{name}"
        yield from _json_parts(each, inner)
    yield line + closed


def _json_key(key: Any) -> str:
    return json.dumps(key if isinstance(key, str) else json.dumps(key))


def _are_many_numbers(values: Any) -> bool:
    return isinstance(values, list | tuple) and len(values) > MOST_LINES and set(map(type, values)) <= {int, float}


def write_text(path: Path, text: str) -> None:
    write_texts({path: text})


def write_texts(texts: Mapping[Path, str]) -> None:
    """Write files that belong together, the first of them last: a disk that is full leaves all of the former ones."""
    with ExitStack() as written:
        for path, text in texts.items():
            written.enter_context(replaced(path)).write_text(text, "utf-8", "backslashreplace")


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    write_text(path, csv_text(rows))


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows under the names of all that any of them has."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(dict.fromkeys(key for row in rows for key in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a file beside `path`, which takes its place when it is whole."""
    with replaced(path) as beside:
        write(beside)


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Yield a file beside `path`; bring it to the disk and rename it: `path` is old or new, never a half.

    Several may write one file at once: each has its own beside it, and the last one stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{UNFINISHED}{token_hex(4)}-{path.name}")  # some writers look at the ending
    try:
        yield beside
        with beside.open("rb+") as file:
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def remove_unfinished(folder: Path) -> None:
    """Remove what killed processes began to write in a folder and the ones within; nobody else may write there now."""
    for pattern in (f"{UNFINISHED}????????-*", f"*/{UNFINISHED}????????-*"):
        for file in folder.glob(pattern):
            file.unlink(missing_ok=True)


def read_json(path: Path) -> Any:
    """Return what a file holds; raises UserError for one that was cut off, or is no JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read as JSON ({error}): it was cut off, or changed by hand") from error


def read_memory(path: Path) -> dict[str, Any] | None:
    """Return what is remembered in a file, or None where there is none that can be read: it is found out anew then."""
    try:
        known = read_json(path)
    except (OSError, UserError):
        return None
    return known if isinstance(known, dict) else None


def digest_of_file(path: Path) -> str:
    """Return what stands for a file's content."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
