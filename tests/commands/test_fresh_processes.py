"""Tasks in fresh processes: what they give, whose mistake it was, and that none outlives the work."""

import os
import signal
import time
from pathlib import Path

import pytest

from vit.commands import fresh_processes
from vit.commands.comparison_runs import PlannedRun
from vit.commands.fresh_processes import FreshProcesses
from vit.commands.inputs import load_recipe
from vit.errors import UserError
from vit.run_folder import RunFolder


def planned(folder: Path, count: int) -> list[PlannedRun]:
    return [
        PlannedRun("model", load_recipe("digits_vit"), 1.0, seed, RunFolder(folder / str(seed)))
        for seed in range(count)
    ]


def own_process(training: PlannedRun, factor: int) -> tuple[int, int]:
    return os.getpid(), factor * training.seed


def mistaken(training: PlannedRun) -> None:
    raise UserError("no such folder")


def faulty(training: PlannedRun) -> None:
    raise ZeroDivisionError("of ours")


def killed(training: PlannedRun) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def stubborn(training: PlannedRun) -> None:
    """Hear no signal but the one that cannot be refused."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    training.folder.path.mkdir()
    (training.folder.path / "pid").write_text(str(os.getpid()))
    time.sleep(600)


def test_every_task_has_a_process_of_its_own(tmp_path: Path) -> None:
    with FreshProcesses(2) as processes:
        done = {training.seed: result for training, result in processes.each(own_process, planned(tmp_path, 5), 3)}
    assert {seed: value for seed, (_, value) in done.items()} == {0: 0, 1: 3, 2: 6, 3: 9, 4: 12}
    assert len({pid for pid, _ in done.values()} | {os.getpid()}) == 6


@pytest.mark.parametrize(
    ("task", "error", "told"),
    [
        (mistaken, UserError, r"^model  fraction 1  seed 0: no such folder$"),
        (faulty, RuntimeError, r"seed 0 failed:\nTraceback[^$]*ZeroDivisionError: of ours"),
        (killed, UserError, "seed 0: its process was ended from outside, most likely for lack of memory"),
    ],
)
def test_who_fails_is_told_by_name(task, error: type[Exception], told: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=told), FreshProcesses(2) as processes:
        processes.one(task, *planned(tmp_path, 1))


def test_none_outlives_an_interrupt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fresh_processes, "SECONDS_TO_STOP", 0.2)
    [quick, slow] = planned(tmp_path, 2)
    with pytest.raises(KeyboardInterrupt), FreshProcesses(2) as processes:
        processes._start(stubborn, slow, ())
        while not (pid := slow.folder.path / "pid").exists() or not pid.read_text():
            time.sleep(0.01)
        for _ in processes.each(own_process, [quick], 1):
            raise KeyboardInterrupt
    [left] = processes.running.values()
    left.process.join(60)
    assert left.process.exitcode == -signal.SIGKILL
