"""How far a comparison is: a bar on a terminal, a line a training elsewhere; on stderr."""

import sys
import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from ..run_folder import clock


class CompareProgress:
    """Counts the trainings that ended; the time left is that of the ones so far, scaled."""

    def __init__(self, total: int, done: int, jobs: int):
        self.total, self.done, self.before = total, done, done
        self.jobs = jobs
        self.start = time.perf_counter()
        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[left]}"))
        self.bar = Progress(*columns, console=console) if console.is_terminal else None

    def __enter__(self) -> "CompareProgress":
        new = self.total - self.done
        text = f"{new} trainings to do, {self.done} done before; {self.jobs} side by side" if new else "all trainings done"
        print(text, file=sys.stderr, flush=True)
        if self.bar:
            self.bar.start()
            self.bar.add_task("training", total=self.total, completed=self.done, left="")
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar:
            self.bar.stop()

    def finished(self, title: str, top1: float) -> None:
        self.done += 1
        seconds = time.perf_counter() - self.start
        left = clock(seconds / (self.done - self.before) * (self.total - self.done))
        line = f"{title}: {top1:.2%} on test"
        if self.bar:
            self.bar.print(line)
            self.bar.update(self.bar.task_ids[0], completed=self.done, left=f"{left} left")
        else:
            print(f"[{self.done:>{len(str(self.total))}}/{self.total}] {line}; {left} left", file=sys.stderr, flush=True)
