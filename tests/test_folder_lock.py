"""One command at a time writes to a folder; who is killed leaves nothing that stops the next one."""

import errno
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock
from forked import Vit, context

import vit
from vit import UserError
from vit.files import remove_unfinished, replace_file
from vit.folder_lock import LOCK, at_work
from vit.run_folder import RunFolder

SMALL = ("digits_vit", "model.depth=1", "schedule.epochs=40", "schedule.warmup_epochs=0")
COMPARISON = """recipes: [digits_vit, digits_resnet]
seeds: 1
fractions: [0.3]
overrides: {schedule.epochs: 2, schedule.warmup_epochs: 0}
"""
REFUSED = "another vit command is at work there; wait for its end, or choose another --out"


def hold(folder: Path) -> None:
    with at_work(folder):
        (folder / "begun").touch()
        time.sleep(600)


@pytest.fixture
def busy(tmp_path: Path):
    """A folder that another process works in, and that process."""
    folder = tmp_path / "busy"
    process = context.Process(target=hold, args=(folder,))
    process.start()
    wait_until((folder / "begun").exists)
    yield folder, process
    process.kill()
    process.join()


def wait_until(seen: Callable[[], object]) -> None:
    deadline = time.monotonic() + 120
    while not seen():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("verb", [["train", "digits_vit"], ["finetune", "model", "photos"]])
def test_a_second_command_is_refused_at_once(busy, verb: list[str]) -> None:
    code = f"import sys; from vit.cli import run; print(run({[*verb, '--out', str(busy[0])]}), 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "2 False\n" and REFUSED in done.stderr


def test_a_second_command_is_refused_until_the_first_has_ended(busy, tmp_path: Path) -> None:
    folder, process = busy
    comparison = tmp_path / "two.yaml"
    comparison.write_text(COMPARISON)
    for command in (
        lambda: vit.train("digits_vit", out=folder),
        lambda: vit.train("digits_vit", out=folder, resume=True),
        lambda: vit.compare(comparison, out=folder),
    ):
        with pytest.raises(UserError, match=REFUSED):
            command()
    assert sorted(path.name for path in folder.iterdir()) == [LOCK, "begun"]
    process.kill()
    process.join()
    with at_work(folder):
        assert (folder / LOCK).exists()
    assert [path.name for path in folder.iterdir()] == ["begun"]


def test_two_trainings_given_one_folder(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    first = Vit("train", *SMALL, "--out", str(run.path))
    wait_until(run.metrics.exists)
    for recipe, *settings in (SMALL, ("digits_resnet",)):
        for resume in ([], ["--resume"]):
            status, told = Vit("train", recipe, *settings, "--out", str(run.path), *resume).end()
            assert (status, told) == (2, f"vit: {run.path}: {REFUSED}\n")
    first.send(signal.SIGKILL)  # which leaves the file, and no lock
    first.end()
    assert (run.path / LOCK).exists()
    status, told = Vit("train", *SMALL, "schedule.epochs=41", "--out", str(run.path), "--resume").end()
    assert status == 2
    assert "other settings (schedule.epochs" in told
    assert not (run.path / LOCK).exists()


def test_a_lock_left_behind_makes_no_run(tmp_path: Path) -> None:
    (tmp_path / LOCK).touch()
    assert vit.train("digits_vit", out=tmp_path, overrides={"schedule.epochs": 1, "schedule.warmup_epochs": 0})
    assert not (tmp_path / LOCK).exists()


def test_one_process_of_a_run_takes_the_lock_for_all(busy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    with at_work(busy[0]):
        pass
    assert (busy[0] / LOCK).exists()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.EROFS, errno.EACCES])
def test_a_disk_without_locks_stops_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, "no locks here")

    monkeypatch.setattr(FileLock, "acquire", refuse)
    with at_work(tmp_path / "run"):
        (tmp_path / "run" / "written").touch()
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["written"]


def test_nothing_is_left_where_nothing_was_written(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), at_work(tmp_path / "runs" / "a"):
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())


def test_patience_outlives_one_that_is_ending(busy) -> None:
    folder, process = busy
    process.terminate()
    with at_work(folder, patience_seconds=60):
        assert (folder / LOCK).exists()


def test_two_writers_of_one_file_do_not_meet(tmp_path: Path) -> None:
    seen: list[Path] = []

    def outer(beside: Path) -> None:
        seen.append(beside)
        beside.write_text("first")
        replace_file(tmp_path / "a.json", lambda inner: seen.append(inner) or inner.write_text("second"))
        assert (tmp_path / "a.json").read_text() == "second"

    replace_file(tmp_path / "a.json", outer)
    assert (tmp_path / "a.json").read_text() == "first"
    assert len(set(seen)) == 2 and {path.suffix for path in seen} == {".json"}
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_what_killed_processes_began_is_removed(tmp_path: Path) -> None:
    def killed(beside: Path) -> None:
        beside.touch()
        beside.rename(beside.with_name(f"kept-{beside.name}"))
        raise KeyboardInterrupt

    (tmp_path / "checkpoints").mkdir()
    for path in (tmp_path / "a.json", tmp_path / "checkpoints" / "last.ckpt"):
        with pytest.raises(KeyboardInterrupt):
            replace_file(path, killed)
        [kept] = path.parent.glob("kept-*")
        kept.rename(kept.with_name(kept.name.removeprefix("kept-")))
    (tmp_path / "new-photographs").touch()  # of somebody else
    remove_unfinished(tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["checkpoints", "new-photographs"]
