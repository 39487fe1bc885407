"""A folder that a command writes to is locked: a second command is refused, and a dead process leaves no lock."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import UserError
from .hardware import processes

if TYPE_CHECKING:
    from filelock import FileLock

LOCK = ".at-work"  # the file's name; it is there while a command is at work, and after one that was killed


@contextmanager
def at_work(folder: Path, patience_seconds: float = 0.0) -> Iterator[None]:
    """Let no other command write to a folder; of several processes of one command, the first one sees to it.

    Makes the folder, and takes it away again where nothing was written. A file system that has no locks, or where
    nothing can be written, stops nobody here. Raises UserError where another command is at work, and still is after
    some seconds.
    """
    if not processes.is_first():
        yield
        return
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    lock = locked(folder, patience_seconds)
    try:
        yield
    finally:
        with suppress(OSError):  # where an open file cannot be removed, it stays
            (folder / LOCK).unlink(missing_ok=True)
        if lock is not None:
            lock.release()
        with suppress(OSError):  # what is not empty
            for place in made:
                place.rmdir()


def refuse_at_work(folder: Path) -> None:
    """Raise UserError where another command is at work in a folder: at once, before anything is loaded for this one."""
    if processes.is_first() and (folder / LOCK).exists() and (lock := locked(folder, 0.0)):
        lock.release()


def locked(folder: Path, patience_seconds: float) -> "FileLock | None":
    """Return the lock of a folder, taken, or None where there can be none."""
    from filelock import FileLock, Timeout  # here, since commands that write nothing need none

    lock = FileLock(folder / LOCK)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=patience_seconds)
    except Timeout as error:
        raise UserError(
            f"{folder}: another vit command is at work there; wait for its end, or choose another --out"
        ) from error
    except (OSError, NotImplementedError):  # a network's disk without locks; a place that the work itself will refuse
        return None
    return lock
