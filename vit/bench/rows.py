"""What a benchmark tells: a row for everything that was timed, as JSON and as a table."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from ..environment import environment
from ..files import write_json
from ..terminal import as_text
from .rounds import Timed

OURS = "vit"


@dataclass(frozen=True)
class Benchmark:
    """What was measured, and in what surroundings."""

    title: str
    rows: list[dict[str, Any]]
    environment: dict[str, Any]


def finished(title: str, rows: list[dict[str, Any]], out: str | Path | None) -> Benchmark:
    """Put the surroundings to the rows, and write both where a file is named."""
    benchmark = Benchmark(title, rows, environment())
    if out:
        write_json(Path(out), {"environment": benchmark.environment, "rows": rows})
    return benchmark


def speeds(timed: Timed) -> dict[str, Any]:
    """Return the median, lowest and highest speed of the rounds, and the memory."""
    return {
        "images_per_second": round(timed.median, 2),
        "low": round(min(timed.rounds), 2),
        "high": round(max(timed.rounds), 2),
        "peak_memory_bytes": timed.peak_memory_bytes,
    }


def ratios(ours: Timed, theirs: Timed) -> dict[str, float]:
    """Return how many times as fast ours is: the median over rounds, each against its neighbour, and the extremes."""
    of_rounds = [a / b for a, b in zip(ours.rounds, theirs.rounds, strict=True)]
    values = {"ratio": statistics.median(of_rounds), "ratio_low": min(of_rounds), "ratio_high": max(of_rounds)}
    return {name: round(value, 3) for name, value in values.items()}


def megabytes(size: int | None) -> str:
    return "" if size is None else f"{size / 1e6:,.0f}"


def tabulate(title: str, rows: Sequence[Mapping[str, str]], words: int) -> str:
    """Return rows of texts under the names of the first; the first `words` columns are words, the others numbers."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for place, heading in enumerate(rows[0]):
        table.add_column(heading, justify="left" if place < words else "right")
    for row in rows:
        table.add_row(*row.values())
    return as_text(table, width=140)
