"""The time that a comparison may take in all: what is trained within it, and what is left out to end in time.

Trainings are taken in rounds: every model on one fraction with one seed, so that what is left out is left out for all
of them. The largest fraction comes first, seed after seed; then the others, from the smallest. A round begins where it
is expected to end early enough to look at the models and to write the report. The first one begins in any case.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ..files import read_memory, write_json
from ..progress import clock
from .plan import PlannedRun

KEPT = "time.json"  # seconds that were spent before, in a comparison that was interrupted

Round = list[PlannedRun]


class Expected(Protocol):
    """Knows how long a round and all that comes behind it will take; None where nothing is known yet."""

    def seconds_for(self, together: Sequence[PlannedRun]) -> float | None: ...

    def begin(self, together: Sequence[PlannedRun]) -> None: ...


@dataclass
class TimeLimit:
    """So many seconds from the first command on; those between commands do not count."""

    seconds: float
    folder: Path
    began: float = field(default_factory=time.monotonic)
    spent_before: float = 0.0
    left_out: list[PlannedRun] = field(default_factory=list)

    def __post_init__(self) -> None:
        known = read_memory(self.folder / KEPT)
        if known is not None and isinstance(known.get("seconds"), int | float):
            self.spent_before = float(known["seconds"])

    def spent(self) -> float:
        return self.spent_before + time.monotonic() - self.began

    def left(self) -> float:
        return self.seconds - self.spent()

    def keep(self) -> None:
        """Write what was spent, for a command that goes on."""
        if self.folder.is_dir():
            write_json(self.folder / KEPT, {"seconds": round(self.spent(), 1)})

    def in_words(self) -> str:
        return f"{clock(max(0.0, self.left()))} of {clock(self.seconds)} left"

    def within(self, missing: Sequence[PlannedRun], expected: Expected) -> Iterator[PlannedRun]:
        """Yield the trainings for which there is time, round after round, and list the others in `left_out`."""
        self.left_out = []
        for number, together in enumerate(rounds_of(missing)):
            needed = expected.seconds_for(together)
            if number and needed is not None and needed > self.left():
                self.left_out += together
            else:
                expected.begin(together)
                yield from together


def rounds_of(planned: Sequence[PlannedRun]) -> list[Round]:
    """Return the trainings in rounds, the most important first."""
    largest = max((p.fraction for p in planned), default=1.0)
    rounds: dict[tuple[bool, float, int], Round] = {}
    for p in planned:
        rounds.setdefault((p.fraction != largest, p.fraction, p.seed), []).append(p)
    return [rounds[key] for key in sorted(rounds)]


def in_words(left_out: Sequence[PlannedRun]) -> list[str]:
    """Return what was left out, a line a fraction: "fraction 0.3, seeds 1, 2"."""
    seeds: dict[float, list[int]] = {}
    for p in left_out:
        seeds.setdefault(p.fraction, [])
        if p.seed not in seeds[p.fraction]:
            seeds[p.fraction].append(p.seed)
    return [
        f"fraction {fraction:g}, seed{'s' * (len(of) > 1)} {', '.join(map(str, sorted(of)))}"
        for fraction, of in sorted(seeds.items(), reverse=True)
    ]
