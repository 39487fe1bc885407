"""Systems take turns, each in its own process; what fails there is told here."""

import os
import runpy
import sys
import time
from types import SimpleNamespace

import pytest

from vit.bench.rounds import System, run, time_in_turns
from vit.bench.rows import megabytes
from vit.errors import UserError


def sleeper(seconds: float, log: str):
    def work() -> int:
        with open(log, "a") as file:
            file.write(f"{os.getpid()}\n")
        time.sleep(seconds)
        return 10

    return work


def slow_at_first_every_time():
    calls = 0

    def work() -> int:
        nonlocal calls
        time.sleep(0.01 if calls % 2 else 0.5)
        calls += 1
        return calls

    return work


def refused():
    raise UserError("no images here")


def broken():
    def work() -> int:
        raise RuntimeError("out of luck")

    return work


def ended():
    os._exit(3)


def test_rounds_alternate_and_the_first_is_not_counted(tmp_path, told: list[str]) -> None:
    log = tmp_path / "log"
    log.touch()
    systems = [System(name, sleeper, {"seconds": s, "log": str(log)}) for name, s in (("slow", 0.1), ("quick", 0.02))]
    timed = time_in_turns(systems, 3)
    turns = log.read_text().split()
    assert len(turns) == 8 and turns[:2] * 4 == turns and turns[0] != turns[1]
    assert [len(timed[name].rounds) for name in ("slow", "quick")] == [3, 3]
    assert max(timed["slow"].rounds) <= 100 and timed["slow"].median < timed["quick"].median
    assert all(values.peak_memory_bytes > 1_000_000 for values in timed.values())
    assert told[0].startswith("warming up: slow ") and told[-1].startswith("round 3 of 3: quick ")


def test_a_round_warms_up_without_being_counted() -> None:
    timed = time_in_turns([System("cold", slow_at_first_every_time, {}, warms_up=True)], 2)
    assert len(timed["cold"].rounds) == 2 and min(timed["cold"].rounds) > 4 / 0.5


def test_the_cards_memory_is_given_back_between_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    given_back: list[bool] = []
    cuda = SimpleNamespace(is_initialized=lambda: True, empty_cache=lambda: given_back.append(True))
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    assert run(lambda: 7, warms_up=False)[0] == 7 and given_back == [True]
    cuda.is_initialized = lambda: False
    assert run(lambda: 8, warms_up=True)[0] == 8 and given_back == [True]


def test_a_system_that_does_not_tell_of_memory_is_timed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "vit.bench.rounds")
    monkeypatch.setitem(sys.modules, "resource", None)  # as on Windows
    assert runpy.run_module("vit.bench.rounds")["peak_memory_bytes"]() is None
    assert megabytes(None) == "" and megabytes(1_234_000_000) == "1,234"


@pytest.mark.parametrize(
    ("prepare", "message"),
    [(refused, "no images here"), (broken, "out of luck"), (ended, "ended before its time")],
)
def test_what_fails_is_told(prepare, message: str) -> None:
    with pytest.raises(UserError, match=message):
        time_in_turns([System("theirs", prepare, {})], 1)
