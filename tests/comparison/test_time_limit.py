"""A time limit: rounds in the order of what they are worth, begun where they end in time, the rest listed."""

import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from vit.comparison.plan import PlannedRun
from vit.comparison.time_limit import TimeLimit, in_words, rounds_of
from vit.recipe import load_recipe
from vit.run_folder import RunFolder

RECIPE = load_recipe("digits_vit")


def run(model: str, fraction: float, seed: int, folder: Path = Path("runs")) -> PlannedRun:
    return PlannedRun(model, RECIPE, fraction, seed, RunFolder(folder / f"{model}-{fraction}-{seed}"))


def study(seeds: int = 3, fractions: Sequence[float] = (1.0, 0.3, 0.1)) -> list[PlannedRun]:
    return [run(model, f, seed) for seed in range(seeds) for f in fractions for model in ("vit", "resnet")]


def kinds(planned: Sequence[PlannedRun]) -> list[tuple[float, int]]:
    return list(dict.fromkeys((p.fraction, p.seed) for p in planned))


class Known:
    """Rounds that take so many seconds, known from the first one's end on."""

    def __init__(self, seconds: float, behind: float = 0.0):
        self.seconds, self.behind, self.begun = seconds, behind, 0

    def seconds_for(self, together: Sequence[PlannedRun]) -> float | None:
        return self.seconds * together[0].fraction + self.behind if self.begun else None

    def begin(self, together: Sequence[PlannedRun]) -> None:
        self.begun += 1


def test_the_largest_fraction_comes_first_and_rounds_are_whole() -> None:
    rounds = rounds_of(study())
    assert [kinds(r) for r in rounds] == [
        [(f, seed)]
        for f, seed in [*((1.0, s) for s in range(3)), *((0.1, s) for s in range(3)), *((0.3, s) for s in range(3))]
    ]
    assert all([p.model for p in r] == ["vit", "resnet"] for r in rounds)


def test_what_does_not_end_in_time_is_left_out_for_all_models(tmp_path: Path) -> None:
    limit = TimeLimit(100.0, tmp_path)
    begun = list(limit.within(study(), Known(seconds=300.0)))
    assert kinds(begun) == [(1.0, 0), (0.1, 0), (0.1, 1), (0.1, 2), (0.3, 0), (0.3, 1), (0.3, 2)]
    assert kinds(limit.left_out) == [(1.0, 1), (1.0, 2)]
    assert len(begun) + len(limit.left_out) == len(study())
    assert in_words(limit.left_out) == ["fraction 1, seeds 1, 2"]


def test_the_report_behind_them_is_counted(tmp_path: Path) -> None:
    limit = TimeLimit(100.0, tmp_path)
    assert kinds(list(limit.within(study(), Known(seconds=30.0, behind=95.0)))) == [
        (1.0, 0),
        (0.1, 0),
        (0.1, 1),
        (0.1, 2),
    ]
    assert in_words(limit.left_out) == ["fraction 1, seeds 1, 2", "fraction 0.3, seeds 0, 1, 2"]


def test_the_first_round_begins_in_any_case(tmp_path: Path) -> None:
    assert kinds(list(TimeLimit(0.001, tmp_path).within(study(), Known(1.0)))) == [(1.0, 0)]


def test_what_was_spent_counts_and_what_lies_between_commands_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    first = TimeLimit(600.0, tmp_path, began=now)
    now += 250
    assert (first.spent(), first.left()) == (250, 350)
    first.keep()
    now += 5_000
    again = TimeLimit(600.0, tmp_path, began=now)
    now += 100
    assert (again.spent(), again.left(), again.in_words()) == (350, 250, "4:10 of 10:00 left")
