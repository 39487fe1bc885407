"""The command line: it carries out one verb, and turns what goes wrong into a message and an exit status."""

import shlex
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

import typer

from .. import processes
from ..errors import Interrupted, UserError
from ..say import print_line
from .verbs import app

UsageError: Any = typer.BadParameter.__base__  # click's, which typer carries inside
DONE, FAULT_OF_OURS, MENDABLE, INTERRUPTED = 0, 1, 2, 130


def main() -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C, wherever a training does not hear it itself
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Carry out one command line and return its exit status."""
    try:
        status = app(arguments, standalone_mode=False)  # a verb returns None; typer turns Ctrl-C into 130
    except (UserError, Interrupted) as error:
        if not processes.is_first():  # the first one tells; where others fail, those who started them end it at once
            return DONE
        return _told(error, arguments)
    except UsageError as error:
        error.show()
        return MENDABLE
    except BrokenPipeError:
        return DONE  # the reader of our output has left
    except Exception:
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


def _continuation(folder: Path, arguments: list[str]) -> str:
    """Return the command line that goes on with what `arguments` began in `folder`."""
    command = [argument for argument in arguments if argument != "--resume"]
    if "--out" in command:
        place = command.index("--out")
        del command[place : place + 2]
    resume = ["--resume"] if command[0] in ("train", "finetune") else []
    return shlex.join(["vit", *command, "--out", folder.as_posix(), *resume])
