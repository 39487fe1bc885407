"""Tasks in processes of their own: a fresh one for each, with its own threads, memory peak and crash."""

import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from ..errors import Interrupted, UserError
from ..hardware import endings
from ..hardware.system_errors import told_to_mend
from ..messages import outlive_reader, quieted
from ..registry import Additions, additions, adopt
from .plan import PlannedRun

PRELOADED = [  # what a task would import by itself, every time
    "vit.training.run",
    "vit.evaluation.evaluate",
    "vit.comparison.probes",
    "vit.explanations.internals",
    "vit.robustness.changes",
    "sklearn.datasets",  # of the digits
]
SECONDS_TO_STOP = 30  # of a training that ends after its step; who takes longer is killed


@dataclass(frozen=True)
class Running:
    """A task in its process, and the pipe through which its answer comes."""

    planned: PlannedRun
    process: BaseProcess
    answer: Connection

    def result(self) -> Any:
        """Return what the task gave; its mistake is told with the training's name."""
        try:
            kind, value = self.answer.recv()
        except (EOFError, OSError):  # before or within its answer
            kind, value = "death", None
        finally:
            self.answer.close()
            self.process.join(SECONDS_TO_STOP)
            self.process.kill()
        if kind == "death":
            raise UserError(died(self.planned.title(), endings.in_words(self.process.exitcode)))
        if kind == "mistake":
            raise UserError(f"{self.planned.title()}: {value}")
        if kind == "fault":
            raise RuntimeError(f"{self.planned.title()} failed:\n{value}")
        if kind == "interrupted":
            raise KeyboardInterrupt
        return value


def died(title: str, how: str) -> str:
    """Return what is told of a training whose process gave no answer."""
    advice = "fewer --jobs or a smaller training.batch_size help; " if endings.LACK_OF_MEMORY in how else ""
    return f"{title}: its process {how}; {advice}what is done is kept, and the same command goes on"


class FreshProcesses:
    """So many tasks at a time, each in a fresh process; leaving the `with` ends those that still run.

    Where the system can fork from a server, that server imports torch once for all of them. Ours instead of
    `concurrent.futures`: there a pool whose processes end after one task can hang when it is interrupted.
    """

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs
        self.running: dict[Connection, Running] = {}
        method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
        self.context: Any = multiprocessing.get_context(method)
        if method == "forkserver":
            self.context.set_forkserver_preload(PRELOADED)
            start_server()

    def __enter__(self) -> "FreshProcesses":
        return self

    def __exit__(self, *_: object) -> None:
        """Ask what still runs to stop, which lets a training save its step; then end it."""
        processes = [running.process for running in self.running.values()]
        try:
            for process in processes:
                process.terminate()
            deadline = time.monotonic() + SECONDS_TO_STOP
            for process in processes:
                process.join(max(0, deadline - time.monotonic()))
        finally:
            for process in processes:
                process.kill()

    def each(
        self, function: Callable[..., Any], planned: Iterable[PlannedRun], *arguments: Any
    ) -> Iterator[tuple[PlannedRun, Any]]:
        """Yield every training with what `function(training, *arguments)` returned, in the order in which they end.

        The next of `planned` is asked for when there is a process for it.
        """
        waiting = iter(planned)
        while True:
            for one in islice(waiting, self.jobs - len(self.running)):
                self._start(function, one, arguments)
            if not self.running:
                return
            for answer in wait(list(self.running)):
                running = self.running.pop(answer)  # type: ignore[index]
                yield running.planned, running.result()

    def one(self, function: Callable[..., Any], planned: PlannedRun, *arguments: Any) -> Any:
        [(_, value)] = self.each(function, [planned], *arguments)
        return value

    def _start(self, function: Callable[..., Any], planned: PlannedRun, arguments: tuple[Any, ...]) -> None:
        ours, theirs = self.context.Pipe(duplex=False)
        process = self.context.Process(target=carry_out, args=(theirs, additions(), function, planned, *arguments))
        process.start()
        theirs.close()
        self.running[ours] = Running(planned, process, ours)


def start_server() -> None:
    """Start the server of processes without ears for a closed terminal, of which we tell those that work."""
    from multiprocessing.forkserver import ensure_running

    if not hasattr(signal, "SIGHUP") or threading.current_thread() is not threading.main_thread():
        ensure_running()
        return
    former = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as it is now, a started program keeps it
    try:
        ensure_running()
    finally:
        signal.signal(signal.SIGHUP, former)


def carry_out(answer: Connection, added: Additions, function: Callable[..., Any], *arguments: Any) -> None:
    """Send what the function gives; Ctrl-C is left to the process that began this one, which ends it by a signal."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    outlive_reader()
    adopt(added)
    threading.Thread(target=end_with_parent, daemon=True).start()
    try:
        with quieted():  # the process that began this one tells how far all of them are
            told = "result", function(*arguments)
    except UserError as error:
        told = "mistake", str(error)
    except (Interrupted, KeyboardInterrupt):
        told = "interrupted", None
    except Exception as error:
        mendable = told_to_mend(error)
        told = ("mistake", mendable) if mendable else ("fault", traceback.format_exc())
    with suppress(BrokenPipeError):  # nobody is there to hear it
        answer.send(told)


def end_with_parent() -> None:
    """Wait for the end of the process that began this one; then stop as it would have asked, or be killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)  # a training saves its step
    time.sleep(SECONDS_TO_STOP)
    os.kill(os.getpid(), signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
