"""Where long work tells how far it is: lines on stderr, or nowhere."""

import sys
from collections.abc import Callable

Say = Callable[[str], object]


def print_line(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def ignore_line(line: str) -> None:
    pass
