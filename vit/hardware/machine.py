"""What the machine has for this process: cores, memory."""

import ctypes
import os
import platform
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ..errors import UserError

CGROUP_FILES = {  # version -> limit, use, and in memory.stat the part of it that is given back on demand
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    2: ("memory.max", "memory.current", "inactive_file"),
}
MEMORY_IS_FULL = re.compile(  # as torch, its libraries and C++ say it; NCCL does not say every time of what kind it was
    r"out of memory|ALLOC(ATION)?_FAILED|CUBLAS_STATUS_NOT_INITIALIZED|DefaultCPUAllocator: (can't allocate|not enough)"
    r" memory|bad_alloc|bad allocation|unhandled cuda error(?!.*cuda failure)|killed by signal: Killed",
    re.IGNORECASE | re.DOTALL,
)
SHARED_MEMORY_IS_FULL = re.compile(r"shared memory(\(shm\)| object)|killed by signal: Bus error|out of shared memory")
OUT_OF_SHARED_MEMORY = (
    "shared memory is full: loading processes send their images through /dev/shm\n"
    "what helps: data.workers=0, or fewer than now; a container with more of it (docker run --shm-size=8g, or "
    "--ipc=host); no other training beside this one"
)
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


def available_cores() -> int:
    """Return the cores this process may use: a scheduler may have given it fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def keep_freed_memory() -> None:
    """Let the C library keep what is freed, for what is allocated next, where it is glibc.

    It gives back every block of 32 MiB or more at once otherwise, and the next step of a training waits for the system
    to clear as many pages again: 12 to 18 % of a step of ResNet-50 and 3 to 8 % of a ViT's (AMD EPYC, glibc 2.36).
    """
    if mallopt := _of_glibc("mallopt"):
        mallopt(_M_MMAP_THRESHOLD, 2**30)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def give_back_freed_memory() -> None:
    """Let the system have what the C library keeps, while others need it."""
    if malloc_trim := _of_glibc("malloc_trim"):
        malloc_trim(0)


def free_shared_memory_bytes(folder: Path = Path("/dev/shm")) -> int | None:
    """Return the bytes that processes can still send one another; a container has 64 MB unless it is told otherwise.

    None where there is no such limit; 0 where Linux has no such place, or none that can be written.
    """
    if sys.platform != "linux":
        return None
    if not os.access(folder, os.W_OK):
        return 0
    there = os.statvfs(folder)
    return there.f_bavail * there.f_frsize


def _of_glibc(name: str) -> Callable[..., Any] | None:
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory ran out: the GPU's, the processor's, or Python's own."""
    return isinstance(error, MemoryError) or _says(error, MEMORY_IS_FULL)


def is_out_of_shared_memory(error: BaseException) -> bool:
    """Return whether an error says that loading processes had no room for what they send."""
    return _says(error, SHARED_MEMORY_IS_FULL)


def _says(error: BaseException, words: re.Pattern[str]) -> bool:
    """Return whether a RuntimeError, or the one behind it, has such words."""
    both = [e for e in (error, error.__cause__) if isinstance(e, RuntimeError)]
    return any(words.search(str(e)) for e in both)


def peak_memory_bytes(children: bool = False) -> int | None:
    """Return the most memory that this process held so far, or the largest of those that it waited for.

    None where the system does not tell.
    """
    try:
        import resource
    except ImportError:  # Windows has none
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_CHILDREN if children else resource.RUSAGE_SELF).ru_maxrss * unit


def free_memory_bytes(processes: Path = Path("/proc"), control_groups: Path = Path("/sys/fs/cgroup")) -> int:
    """Return the bytes that this process can still take, of the machine and of its container.

    Raises UserError where the system does not tell.
    """
    return min([_free_of_machine(processes), *_free_of_groups(processes, control_groups)])


def _free_of_machine(processes: Path) -> int:
    try:
        lines = (processes / "meminfo").read_text().splitlines()
    except OSError:  # no Linux: all there is
        try:
            return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        except (AttributeError, ValueError, OSError) as error:
            raise UserError(
                "this system does not tell its memory: give training.accumulate as a number, and no data.cache=ram"
            ) from error
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))


def _free_of_groups(processes: Path, control_groups: Path) -> Iterator[int]:
    """Give what is left below the limit of every control group around this process, of version 1 and 2."""
    try:
        lines = (processes / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        mount = control_groups / "memory" if controllers else control_groups
        inside = mount / path.lstrip("/")
        for folder in (inside, *inside.parents):
            if folder.is_relative_to(mount):
                yield from _free_of_group(folder, *CGROUP_FILES[1 if controllers else 2])


def _free_of_group(folder: Path, limit: str, use: str, cached: str) -> Iterator[int]:
    try:
        most, used = (folder / limit).read_text().strip(), int((folder / use).read_text())
        lines = (folder / "memory.stat").read_text().splitlines()
    except OSError:  # the root group has none; and in a container the folders above it are not seen
        return
    if most.isdecimal():  # not "max"
        given_back = sum(int(line.split()[1]) for line in lines if line.startswith(f"{cached} "))
        yield max(0, int(most) - used + given_back)
