"""What is printed: results on stdout; on stderr how far long work is, and how often. Strangers' names do no harm."""

import io
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

LINE_EVERY_SECONDS = 5.0

Say = Callable[[str], object]

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
    print(plain_text(result))


def print_line(line: object) -> None:
    print(plain_text(line), file=sys.stderr, flush=True)


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


def clock(seconds: float) -> str:
    """Return 75 as 1:15 and 3700 as 1:01:40."""
    minutes, rest = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
