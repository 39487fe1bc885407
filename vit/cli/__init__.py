"""The command line: it carries out one verb, and turns what goes wrong into a message and an exit status."""

import io
import os
import shlex
import signal
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

import typer

from ..errors import FailedCheck, Interrupted, UserError
from ..hardware import processes
from ..hardware.system_errors import told_to_mend
from ..messages import outlive_reader, print_line
from .verbs import app

UsageError: Any = typer.BadParameter.__base__  # click's, which typer carries inside
DONE, FAULT_OF_OURS, MENDABLE, INTERRUPTED = 0, 1, 2, 130
SECONDS_FOR_THE_FIRST = 2.0  # of several processes, to tell a mistake that all of them make


def main() -> None:
    hear_signals()
    outlive_reader()
    write_out_odd_characters()
    try:
        status = run(sys.argv[1:])
    except SystemExit:  # typer's, at a pipe whose reader has left
        status = DONE
    sys.exit(all_written(status))


def hear_signals() -> None:
    """Take SIGTERM and a closed terminal as Ctrl-C, wherever a training does not hear them itself."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup has it
        signal.signal(signal.SIGHUP, signal.default_int_handler)


def write_out_odd_characters() -> None:
    """Let names of any bytes be printed, whatever characters the terminal or file has: the others as in \\xe9."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # it may be closed, and None
            stream.reconfigure(errors="backslashreplace")


def all_written(status: int) -> int:
    """Write what waits for stdout and return the status; Python would do it too late to tell what fails."""
    stdout = sys.__stdout__  # typer puts another in its place where a pipe breaks
    if stdout is None or stdout.closed:
        return status
    try:
        stdout.flush()
        return status
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stdout.fileno())  # what is left goes nowhere
        if isinstance(error, BrokenPipeError):  # its reader has what it wanted
            return status
        print_line(f"vit: the answer cannot be written to stdout: {error.strerror}")
        return MENDABLE


def run(arguments: list[str]) -> int:
    """Carry out one command line and return its exit status."""
    try:
        status = app(arguments, standalone_mode=False)  # a verb returns None; typer turns Ctrl-C into 130
    except (UserError, Interrupted) as error:
        return _told(error, arguments) if processes.is_first() else _told_by_another(error)
    except FailedCheck as error:
        print_line(f"vit: {error}")
        return FAULT_OF_OURS
    except UsageError as error:
        error.show()
        return MENDABLE
    except BrokenPipeError:
        return DONE  # the reader of our output has left
    except Exception as error:
        if told := told_to_mend(error):
            return _told(UserError(told), arguments)
        traceback.print_exc()
        print("vit: this is a fault of ours; please report it with the lines above", file=sys.stderr)
        return FAULT_OF_OURS
    return status or DONE


def _told(error: UserError | Interrupted, arguments: list[str]) -> int:
    if isinstance(error, UserError):
        print_line(f"vit: {error}")
        return MENDABLE
    print_line(f"\ninterrupted; continue with:\n  {_continuation(error.folder, arguments)}")
    return INTERRUPTED


def _told_by_another(error: UserError | Interrupted) -> int:
    """Tell what one of several processes met, but not what the first one tells: all are ended when that one ends."""
    if isinstance(error, Interrupted):
        return DONE
    with suppress(KeyboardInterrupt):  # those who started this process end it so
        time.sleep(SECONDS_FOR_THE_FIRST)
        print_line(f"vit: process {processes.rank()}: {error}")
    return MENDABLE


def _continuation(folder: Path, arguments: list[str]) -> str:
    """Return the command line that goes on with what `arguments` began in `folder`."""
    command = [argument for argument in arguments if argument != "--resume"]
    if "--out" in command:
        place = command.index("--out")
        del command[place : place + 2]
    resume = ["--resume"] if command[0] in ("train", "finetune") else []
    return shlex.join(["vit", *command, "--out", folder.as_posix(), *resume])
