"""How far a comparison is: a bar on a terminal, a line a training elsewhere; on stderr."""

import logging

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from ..progress import clock
from ..terminal import plain_console
from .plan import PlannedRun
from .time_limit import TimeLimit

logger = logging.getLogger(__name__)


class CompareProgress:
    """Counts the trainings that ended; the time left follows from how long each model took for its work.

    Within a time limit that is the time left of the whole.
    """

    def __init__(self, planned: list[PlannedRun], missing: list[PlannedRun], jobs: int, limit: TimeLimit | None = None):
        self.total, self.left, self.jobs, self.limit = len(planned), list(missing), jobs, limit
        self.rates: dict[str, float] = {}  # seconds a unit of work, by model
        console = plain_console(stderr=True)
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[left]}", markup=False),
        )
        self.bar = Progress(*columns, console=console) if console.is_terminal else None

    def __enter__(self) -> "CompareProgress":
        done = self.total - len(self.left)
        text = f"{len(self.left)} trainings to do, {done} done before; {self.jobs} side by side"
        logger.info(text if self.left else f"all {done} trainings were done before")
        if self.bar:
            self.bar.start()
            self.bar.add_task("training", total=self.total, completed=done, left="")
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar:
            self.bar.stop()

    def finished(self, training: PlannedRun, top1: float, seconds: float) -> None:
        self.left.remove(training)
        self.rates[training.model] = seconds / training.work()
        done = self.total - len(self.left)
        line = f"{training.title()}: {top1:.2%} on {training.judged_on}"
        left = self.limit.in_words() if self.limit else f"{clock(self._seconds_left())} left"
        if self.bar:
            self._say(line)
            self.bar.update(self.bar.task_ids[0], completed=done, left=left)
        else:
            self._say(f"[{done:>{len(str(self.total))}}/{self.total}] {line}; {left}")

    def begun_again(self, training: PlannedRun) -> None:
        self._say(f"{training.title()}: its worker died; begun again, from its last checkpoint")

    def _say(self, line: str) -> None:
        if self.bar:
            self.bar.print(line)
        else:
            logger.info(line)

    def seconds_of(self, training: PlannedRun) -> float:
        """Return how long a training is expected to take, once the first has ended."""
        typical = sum(self.rates.values()) / len(self.rates)
        return training.work() * self.rates.get(training.model, typical)

    def _seconds_left(self) -> float:
        return sum(map(self.seconds_of, self.left)) / min(self.jobs, max(1, len(self.left)))
