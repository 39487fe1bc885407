"""What the user can mend: one message that says what was given, what is allowed, and what to do."""

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """A mistake its reader can mend; the command line prints its message alone and exits with status 2."""


def nearest(name: str, allowed: Iterable[str]) -> str:
    """Return "; did you mean X?" for the allowed name closest to `name`, or nothing when none is close."""
    matches = get_close_matches(name, list(allowed), n=1, cutoff=0.5)
    return f"; did you mean {matches[0]}?" if matches else ""
