"""Tasks in fresh processes: what they give, whose mistake it was, and that none outlives the work."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from forked import context

from vit.comparison import fresh_processes
from vit.comparison.fresh_processes import FreshProcesses
from vit.comparison.plan import PlannedRun
from vit.errors import UserError
from vit.recipe import load_recipe
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


def ended_by(training: PlannedRun, number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


def left(training: PlannedRun) -> None:
    os._exit(7)


def patient(training: PlannedRun) -> None:
    """Work on until SIGTERM comes, and then save something."""
    signal.signal(signal.SIGTERM, lambda *_: (training.folder.path / "saved").touch() or os._exit(0))
    (training.folder.path / "begun").touch()
    time.sleep(600)


def work_in_two(folder: Path) -> None:
    """Begin two tasks in processes of their own, as a comparison does."""
    with FreshProcesses(2) as processes:
        list(processes.each(patient, planned(folder, 2)))


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
        (left, UserError, "seed 0: its process ended with status 7 and no answer"),
    ],
)
def test_who_fails_is_told_by_name(task, error: type[Exception], told: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=told), FreshProcesses(2) as processes:
        processes.one(task, *planned(tmp_path, 1))


@pytest.mark.parametrize(
    ("number", "told", "of_memory"),
    [
        (signal.SIGKILL, "was ended from outside by SIGKILL, most likely for lack of memory; fewer --jobs", True),
        (signal.SIGSEGV, "crashed by SIGSEGV, in a library's code; .* model.width", False),
        (signal.SIGABRT, "crashed by SIGABRT, in a library's code", False),
        (signal.SIGBUS, "crashed by SIGBUS: .*/dev/shm.*data.workers=0", False),
        (signal.SIGTERM, "was ended from outside by SIGTERM; what is done is kept", False),
    ],
)
def test_a_process_that_dies_names_its_signal(number, told: str, of_memory: bool, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"seed 0: its process {told}") as caught, FreshProcesses(1) as processes:
        processes.one(ended_by, *planned(tmp_path, 1), number)
    assert ("memory;" in str(caught.value)) == of_memory


def test_tasks_end_with_the_process_that_began_them(tmp_path: Path) -> None:
    """Killed, it cannot end them itself."""
    folders = [training.folder.path for training in planned(tmp_path, 2)]
    for folder in folders:
        folder.mkdir()
    parent = context.Process(target=work_in_two, args=(tmp_path,))
    parent.start()
    wait_until(lambda: all((folder / "begun").exists() for folder in folders))
    parent.kill()
    wait_until(lambda: all((folder / "saved").exists() for folder in folders))


def wait_until(seen: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not seen():
        assert time.monotonic() < deadline
        time.sleep(0.02)


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
