"""Systems timed in turns: each in a process of its own, one round of each after the other, while the rest wait."""

import logging
import multiprocessing
import statistics
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from ..errors import UserError
from ..hardware import machine
from ..hardware.machine import give_back_freed_memory

logger = logging.getLogger(__name__)


Work = Callable[[], int]  # does its work once, and returns how many images that were, or whatever is counted


@dataclass(frozen=True, eq=False)
class System:
    """What is timed: a function of this module's users that returns the work, and its arguments."""

    name: str
    prepare: Callable[..., Work]
    arguments: Mapping[str, Any]
    unit: str = "images"
    warms_up: bool = False  # before every round, by doing its work once: its memory was given back meanwhile


@dataclass(frozen=True)
class Timed:
    """The speed of every round, in units a second, and the most memory that the system's processes held."""

    rounds: list[float]
    peak_memory_bytes: int | None

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)


def time_in_turns(systems: list[System], rounds: int) -> dict[str, Timed]:
    """Return each system's speeds; a first round of each, which warms up, is not counted.

    Raises UserError where a system fails.
    """
    speeds: dict[str, list[float]] = {system.name: [] for system in systems}
    with ExitStack() as stack:
        running = {system: stack.enter_context(Running(system)) for system in systems}
        for number in range(rounds + 1):
            for system, process in running.items():
                images, seconds = process.ask("run")
                if number:
                    speeds[system.name].append(images / seconds)
                told = f"round {number} of {rounds}" if number else "warming up"
                logger.info(f"{told}: {system.name} {readable(images / seconds)} {system.unit}/s")
        memory = {system.name: process.ask("memory") for system, process in running.items()}
    return {name: Timed(speeds[name], memory[name]) for name in speeds}


def readable(speed: float) -> str:
    """Return 1,234 or 12.3, or 123.4 G."""
    return f"{speed / 1e9:,.1f} G" if speed >= 1e9 else f"{speed:,.0f}" if speed >= 100 else f"{speed:.3g}"


class Running:
    """A system in its process, from the preparation to the end of the `with`."""

    def __init__(self, system: System) -> None:
        self.name = system.name
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(system, theirs))
        self.process.start()
        theirs.close()

    def __enter__(self) -> "Running":
        self.ask("ready")
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()
        self.process.join(timeout=10)
        self.process.kill()

    def ask(self, question: str) -> Any:
        try:
            self.connection.send(question)
            answer = self.connection.recv()
        except (EOFError, BrokenPipeError, ConnectionResetError) as error:
            raise UserError(f"{self.name} ended before its time (too little memory?)") from error
        if isinstance(answer, str):
            raise UserError(f"{self.name} failed:\n{answer}")
        return answer


def serve(system: System, connection: Connection) -> None:
    """Answer the questions of a `Running`, in the system's own process; a text says what went wrong."""
    try:
        work = system.prepare(**system.arguments)
        answers: dict[str, Callable[[], Any]] = {
            "ready": lambda: True,
            "run": lambda: run(work, system.warms_up),
            "memory": peak_memory_bytes,
        }
        while True:
            connection.send(answers[connection.recv()]())
    except EOFError:
        return
    except UserError as error:
        connection.send(str(error))
    except Exception:  # of a peer's library
        connection.send(traceback.format_exc())


def run(work: Work, warms_up: bool) -> tuple[int, float]:
    if warms_up:
        work()
    start = time.perf_counter()
    images = work()
    seconds = time.perf_counter() - start
    give_back_freed_memory()  # while others take their turns
    torch = sys.modules.get("torch")
    if torch and torch.cuda.is_initialized():
        torch.cuda.empty_cache()  # the card is shared, too
    return images, seconds


def peak_memory_bytes() -> int | None:
    """Return the most that was held on the GPU; else by this process and the largest of those that it waited for."""
    torch = sys.modules.get("torch")
    if torch and torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return torch.cuda.max_memory_allocated()
    own, largest = machine.peak_memory_bytes(), machine.peak_memory_bytes(children=True)
    return None if own is None or largest is None else own + largest
