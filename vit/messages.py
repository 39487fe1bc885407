"""What is printed: results on stdout, everything else on stderr by the standard library's logging, under "vit".

Strangers' names do no harm. The lines reach Python users too; `logging.getLogger("vit").setLevel(logging.WARNING)`
leaves those that a decision hangs on, and a handler of their own may take the place of ours.
"""

import io
import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from .hardware import processes

# What would move the cursor, colour the terminal, set its title, or turn the order of the letters around.
CONTROLS = (*range(0x09), *range(0x0B, 0x20), *range(0x7F, 0xA0), 0x2028, 0x2029, *range(0x202A, 0x202F))
ISOLATES = range(0x2066, 0x206A)
PLAIN = dict.fromkeys((*CONTROLS, *ISOLATES), "\N{REPLACEMENT CHARACTER}")


def plain_text(text: object) -> str:
    """Return text that may hold names from files as it is safe to print: control characters become \ufffd.

    Line ends and tabs stay, every letter of any script, and bytes of names that are none: the stream writes these out.
    """
    return str(text).translate(PLAIN)


def print_result(result: object) -> None:
    """Print what a command was asked for."""
    print(plain_text(result))


def print_line(line: object) -> None:
    """Print what is no result."""
    print(plain_text(line), file=sys.stderr, flush=True)


class PlainLines(logging.Handler):
    """A line on stderr for every record; of several processes of one command, the first one speaks."""

    def emit(self, record: logging.LogRecord) -> None:
        if processes.is_first():
            print_line(self.format(record))


def begin_to_speak() -> None:
    """Give the package's logger its handler and level, where nobody has given it others."""
    logger = logging.getLogger("vit")
    if not logger.handlers:
        logger.addHandler(PlainLines())
        logger.propagate = False
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)


@contextmanager
def quieted(quiet: bool = True) -> Iterator[None]:
    """Within it nothing below a warning is told, where `quiet` asks for that."""
    logger = logging.getLogger("vit")
    former = logger.level
    if quiet:
        logger.setLevel(max(former, logging.WARNING))
    try:
        yield
    finally:
        logger.setLevel(former)


@contextmanager
def silenced() -> Iterator[None]:
    """Leave out what libraries say of their own parts, some of it by the root logger, where the outcome is checked."""
    former = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(former)


class Outliving(io.FileIO):
    """A stream's file that takes what it is given, and drops it where nobody reads any more: `| head`, a closed
    terminal."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


def outlive_reader() -> None:
    """Let this process go on, and end with its right status, when the reader of its stderr leaves."""
    with suppress(OSError, ValueError, AttributeError):  # none, or one that is no file
        file = Outliving(sys.stderr.fileno(), "wb", closefd=False)
        encoding, errors = sys.stderr.encoding, sys.stderr.errors
        sys.stderr = io.TextIOWrapper(io.BufferedWriter(file), encoding, errors, line_buffering=True)
