"""Files that cannot be decoded: looked for once, then refused before anything is written, or left out and listed."""

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from ..run_folder import read_json, write_text
from ..say import Countdown, Say
from .reading import unreadable

MEMORY = Path.home() / ".cache" / "vit" / "decoded"
AT_ONCE = 500  # files between two looks at the clock


def reasons(paths: Sequence[Path], say: Say) -> dict[Path, str]:
    """Return the files that cannot be decoded, and why; remembered until a name, size or time of any file changes."""
    memory = MEMORY / f"{digest(paths)}.json"
    try:
        return {Path(path): reason for path, reason in read_json(memory).items()}
    except (OSError, json.JSONDecodeError):
        found = decode_all(paths, say)
    with suppress(OSError):  # a home that cannot be written costs a look a run
        write_text(memory, json.dumps({str(path): reason for path, reason in found.items()}))
    return found


def decode_all(paths: Sequence[Path], say: Say) -> dict[Path, str]:
    """Decode every file; `say` is told how far it is."""
    found: dict[Path, str] = {}
    countdown = Countdown(len(paths), "{done:,} of {total:,} files decoded; {left} left", say)
    for first in range(0, len(paths), AT_ONCE):
        some = paths[first : first + AT_ONCE]
        found |= unreadable(some)
        countdown.tell(first + len(some))
    return found


def digest(paths: Sequence[Path]) -> str:
    """Return what changes when any of the files does: of their names, sizes and times of change."""
    whole = sha256()
    for path in paths:
        try:
            status = os.stat(path)
            facts = (str(path.absolute()), status.st_size, status.st_mtime_ns)
        except OSError:
            facts = (str(path.absolute()),)
        whole.update(repr(facts).encode())
    return whole.hexdigest()[:32]
