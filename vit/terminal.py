"""What rich draws in a terminal, with every text as it is: names hold brackets and colons that are no markup."""

import shutil
import sys
from typing import Any

from rich.console import Console
from rich.table import Table

WIDE = 10_000  # columns of what is no terminal: a row is a line


def plain_console(
    *, stderr: bool = False, width: int | None = None, no_color: bool | None = None, color_system: Any = "auto"
) -> Console:
    """Return a console that prints texts as they are; the only one of this package."""
    return Console(
        stderr=stderr,
        width=width,
        no_color=no_color,
        color_system=color_system,
        markup=False,
        emoji=False,
        highlight=False,
    )


def as_text(table: Table, width: int | None = None) -> str:
    """Return a table as lines, as wide as the terminal, or elsewhere as wide as its rows."""
    if width is None:
        on_terminal = sys.stdout is not None and sys.stdout.isatty()
        width = shutil.get_terminal_size().columns if on_terminal else WIDE
    console = plain_console(width=width, color_system=None)  # what is printed holds no control characters
    with console.capture() as capture:
        console.print(table)
    return "\n".join(line.rstrip() for line in capture.get().rstrip().splitlines())


def one_line(text: str) -> str:
    """Return a text for a table's cell, with what would break the line, or is no character, written out."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
