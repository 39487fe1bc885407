"""`vit predict`: images in, class names and probabilities out."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from ..data.sources.given import image_files
from ..errors import UserError
from ..model import load
from ..progress import Countdown
from ..terminal import as_text, one_line


@dataclass(frozen=True)
class Predictions:
    """What `vit predict` answered, and what it could not, with the reasons."""

    rows: list[dict[str, Any]]
    unreadable: list[str]


def predict(
    model: str | Path,
    paths: Sequence[str | Path],
    *,
    top: int = 5,
    merge_tokens: int = 0,
    precision: str = "fp32",
) -> Predictions:
    """Return the `top` classes and probabilities of every image file, and of those in every folder.

    With `merge_tokens` every block of a ViT merges so many pairs of tokens; in "bf16" or "fp16" the last digits differ.
    Raises UserError where no file can be read.
    """
    files, unreadable = image_files(paths)
    loaded = load(model)
    if merge_tokens or precision != "fp32":
        from ..inference.prepare import prepare

        loaded, _ = prepare(loaded, merge_tokens, precision, "cpu")
    countdown = Countdown(len(files), "{done:,} of {total:,} images answered; {left} left")
    rows = loaded.predict(files, top, unreadable=lambda error: unreadable.append(str(error)), done=countdown.tell)
    if not rows:
        raise UserError("\n".join(unreadable))
    return Predictions(rows, unreadable)


def unreadable_in_words(predictions: Predictions) -> str:
    """Return what was not answered, line by line, and how many were."""
    count = len(predictions.unreadable)
    said = "1 cannot be read" if count == 1 else f"{count:,} cannot be read"
    answered = (
        f"the other {len(predictions.rows):,} are answered above" if len(predictions.rows) > 1 else "1 is answered"
    )
    return "\n".join([*predictions.unreadable, f"{said}; {answered}"])


def show(rows: list[dict[str, Any]], form: str) -> str:
    """Return predictions as a table for people, as JSON, or as CSV with one line an image."""
    return {"table": _table, "json": _json, "csv": _csv}[form](rows)


def _json(rows: list[dict[str, Any]]) -> str:
    return json.dumps(rows, indent=2)


def _csv(rows: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    width = len(rows[0]["classes"])
    writer.writerow(["path"] + [name for i in range(1, width + 1) for name in (f"class_{i}", f"probability_{i}")])
    for row in rows:
        pairs = zip(row["classes"], row["probabilities"], strict=True)
        writer.writerow([row["path"], *(value for name, p in pairs for value in (name, f"{p:.6f}"))])
    return text.getvalue().rstrip()


def _table(rows: list[dict[str, Any]]) -> str:
    table = Table(box=None, header_style="bold")
    table.add_column("image", overflow="fold")
    for i in range(len(rows[0]["classes"])):
        table.add_column("class" if i == 0 else f"{i + 1}.", overflow="fold")
    for row in rows:
        pairs = zip(row["classes"], row["probabilities"], strict=True)
        table.add_row(one_line(row["path"]), *(one_line(f"{name} {p:.1%}") for name, p in pairs))
    return as_text(table)
