"""Where long work tells how far it is: lines on stderr, or nowhere; and how often."""

import io
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from .run_folder import clock

LINE_EVERY_SECONDS = 5.0

Say = Callable[[str], object]


def print_line(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


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


def ignore_line(line: str) -> None:
    pass


class Countdown:
    """Says every few seconds how much is done and how long the rest takes; `line` names {done}, {total}, {left}."""

    def __init__(self, total: int, line: str, say: Say):
        self.total, self.line, self.say = total, line, say
        self._start = self._last_line = time.perf_counter()

    def tell(self, done: int) -> None:
        now = time.perf_counter()
        if now - self._last_line >= LINE_EVERY_SECONDS:
            self._last_line = now
            left = (now - self._start) / done * (self.total - done)
            self.say(self.line.format(done=done, total=self.total, left=clock(left)))
