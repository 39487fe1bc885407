"""Free memory is what the machine and the containers around a process leave."""

import platform
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from vit.hardware.machine import free_memory_bytes


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


@pytest.fixture
def machine(tmp_path: Path) -> tuple[Path, Path]:
    """A machine with 8,000 kB to spare: its folders of processes and of control groups."""
    write(tmp_path / "proc", meminfo="MemTotal:  16000 kB\nMemFree:  10 kB\nMemAvailable:  8000 kB\n")
    return tmp_path / "proc", tmp_path / "cgroup"


def test_without_limits_the_machine_decides(machine: tuple[Path, Path]) -> None:
    assert free_memory_bytes(*machine) == 8000 * 1024


@pytest.mark.parametrize(
    ("limit", "inner", "expected"),
    [
        ("max", "max", 8_192_000),
        ("6000000", "max", 6_000_000 - 5_000_000 + 1_000_000),  # the cached files are given back
        ("6000000", "5500000", 1_500_000),
        ("5500000", "6000000", 1_500_000),  # of the group around
        ("100", "max", 0),
    ],
)
def test_a_container_of_version_2_decides(machine: tuple[Path, Path], limit: str, inner: str, expected: int) -> None:
    processes, groups = machine
    write(processes / "self", cgroup="0::/outer/inner\n")
    used = {"memory__current": "5000000", "memory__stat": "anon 4\ninactive_file 1000000\nactive_file 7\n"}
    write(groups / "outer", memory__max=limit, **used)
    write(groups / "outer" / "inner", memory__max=inner, **used)
    assert free_memory_bytes(*machine) == expected


@pytest.mark.parametrize("path", ["/docker/abc", "/"])  # as named outside the container, or inside it
def test_a_container_of_version_1_decides(machine: tuple[Path, Path], path: str) -> None:
    processes, groups = machine
    write(processes / "self", cgroup=f"9:name=systemd:/\n4:cpu,memory:{path}\n0::/\n")
    write(
        groups / "memory",
        memory__limit_in_bytes="6000000\n",
        memory__usage_in_bytes="5000000\n",
        memory__stat="cache 9\ninactive_file 3\ntotal_inactive_file 1000000\n",
    )
    assert free_memory_bytes(*machine) == 2_000_000


def test_this_machine_has_memory() -> None:
    assert 1e7 < free_memory_bytes() < 1e14


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_freed_memory_is_kept_until_it_is_given_back() -> None:
    program = """
        from vit.hardware.machine import give_back_freed_memory, keep_freed_memory

        def held_megabytes():
            lines = open("/proc/self/status").read().splitlines()
            return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmRSS:"))

        def allocate_and_free():
            block = bytearray(200 * 2**20)
            del block
            return held_megabytes()

        before = held_megabytes()
        usually = allocate_and_free() - before
        keep_freed_memory()
        kept = allocate_and_free() - before
        give_back_freed_memory()
        print(usually, kept, held_megabytes() - before)
    """
    done = subprocess.run([sys.executable, "-c", dedent(program)], capture_output=True, text=True, check=True)
    usually, kept, given_back = (int(number) for number in done.stdout.split())
    assert usually < 20 and kept > 180 and given_back < 20
