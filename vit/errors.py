"""What ends a command before its end: a mistake its reader can mend, a check that failed, an interruption."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path

MOST_LISTED = 20


class UserError(Exception):
    """A mistake its reader can mend: what was given, what is allowed, what to do.

    The command line prints its message alone and exits with status 2.
    """


class FailedCheck(Exception):
    """What was made is not right, by a check of ours: it was not written, and the numbers are told.

    The command line prints its message alone and exits with status 1: the fault is ours.
    """


class Interrupted(Exception):
    """Ctrl-C during long work; what is kept in `folder` can be continued."""

    def __init__(self, folder: Path):
        super().__init__(str(folder))
        self.folder = folder


def listed(lines: Sequence[str]) -> list[str]:
    """Return the first lines of many, as they stand below a message."""
    return [f"  {line}" for line in lines[:MOST_LISTED]] + ["  ..."] * (len(lines) > MOST_LISTED)


def nearest(name: str, allowed: Iterable[str]) -> str:
    """Return "; did you mean X?" for the allowed name closest to `name`, or nothing when none is close."""
    matches = get_close_matches(name, list(allowed), n=1, cutoff=0.5)
    return f"; did you mean {matches[0]}?" if matches else ""
