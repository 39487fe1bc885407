"""A disk that fails: one kind of file operation below a folder, in this process, raises OSError; others are noted."""

import builtins
import errno
import io
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

ANY = re.compile(r"[0-9a-f]{8,}|\d+|(?<=figures/)\S+")  # in names: what is another every time, or for every figure
WRITING = ("w", "a", "x", "+")


def install(below: str, notes: str, failing: str | None = None) -> None:
    """Let operations on names below a folder be noted, a line for each kind; those of the failing kind raise OSError.

    A kind is what is done to which file: "read run/recipe.yaml".
    """
    seen: set[str] = set()
    note_to = os.open(notes, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def guard(what: str, path: Any, code: int) -> None:
        name = os.path.abspath(os.fsdecode(path)) if isinstance(path, str | bytes | os.PathLike) else ""
        if not name.startswith(below):
            return
        kind = f"{what} {ANY.sub('#', name.removeprefix(below))}"
        if kind not in seen:
            seen.add(kind)
            os.write(note_to, f"{kind}\n".encode())
        if kind == failing:
            raise OSError(code, os.strerror(code), str(path))

    real_open, real_os_open = io.open, os.open

    def failing_open(file: Any, mode: str = "r", *more: Any, **options: Any) -> Any:
        writes = any(sign in mode for sign in WRITING)
        guard("write" if writes else "read", file, errno.ENOSPC if writes else errno.EIO)
        return real_open(file, mode, *more, **options)

    def failing_os_open(path: Any, flags: int, *more: Any, **options: Any) -> int:
        writes = bool(flags & (os.O_WRONLY | os.O_RDWR))
        guard("os-write" if writes else "os-read", path, errno.ENOSPC if writes else errno.EIO)
        return real_os_open(path, flags, *more, **options)

    def of_path(name: str, code: int) -> Callable[..., Any]:
        real = getattr(os, name)

        def operation(path: Any, *more: Any, **options: Any) -> Any:
            guard(name, more[0] if name in ("replace", "rename") else path, code)
            return real(path, *more, **options)

        return operation

    builtins.open = io.open = failing_open
    os.open = failing_os_open
    for name, code in {
        "mkdir": errno.EACCES,
        "replace": errno.EIO,
        "rename": errno.EIO,
        "scandir": errno.EACCES,
    }.items():
        setattr(os, name, of_path(name, code))


def kinds(notes: Path) -> list[str]:
    return notes.read_text().splitlines()
