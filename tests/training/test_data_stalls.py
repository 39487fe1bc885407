"""A run tells how long it waited for images, and where that is long, what helps."""

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from simulated_gpu import SimulatedGPU

import vit
from vit.data.sources.stores import Files
from vit.files import read_json
from vit.messages import quieted
from vit.recipe import load_recipe
from vit.run_folder import RunFolder
from vit.training.data_stalls import in_words
from vit.training.engine import make_engine
from vit.training.nonfinite import NonFiniteGuard
from vit.training.placement import Placement


@pytest.mark.parametrize(
    ("overrides", "small", "advice"),
    [
        ({"data.workers": 1}, False, ["data.cache=ram or disk", "more data.workers than 1, of 4 cores", "augment"]),
        ({"data.workers": 4}, False, ["data.cache=ram or disk", "augment"]),
        ({"data.cache": "disk"}, False, ["augment"]),
        ({}, True, ["augment"]),
    ],
)
def test_what_helps(overrides, small: bool, advice: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vit.training.data_stalls.available_cores", lambda: 4)
    line = in_words(0.25, load_recipe("digits_vit", overrides), small)
    told, _, remedies = line.partition(": ")
    assert told == "25% of the time training waited for images"
    parts = remedies.split("; ")
    assert len(parts) == len(advice) and all(word in part for word, part in zip(advice, parts, strict=True))


def test_a_short_wait_needs_no_advice() -> None:
    assert in_words(0.04, load_recipe("digits_vit"), True) == "4% of the time training waited for images"


STEPS = 60
COPY = 0.001  # seconds in which the processor puts a batch, or its places in a resident set, on the way


def share_of_waiting(gpu: SimulatedGPU, tmp_path: Path, load, processes: int = 1) -> float:
    """Drive a training's own callbacks through an epoch on a GPU that takes 100 ms a step, started in 10 ms."""
    recipe, run = load_recipe("digits_vit", {"training.checkpoint_seconds": 1e6}), RunFolder(tmp_path / "run")
    with quieted():  # no bar
        engine = make_engine(recipe, run, Placement("cpu", 1, 1, "single"), "fp32", 1, [], 0.0)

    def reduced(values: torch.Tensor, reduce_op: str) -> torch.Tensor:
        gpu.wait()  # for its numbers
        return values

    strategy = SimpleNamespace(reduce=reduced, root_device="cpu")
    group = {"lr": 0.1}
    trainer: Any = SimpleNamespace(
        world_size=processes,
        accumulate_grad_batches=1,
        is_last_batch=False,
        should_stop=False,
        strategy=strategy,
        optimizers=[SimpleNamespace(param_groups=[group])],
    )
    task: Any = SimpleNamespace(device=torch.device("cuda"))
    batch = (torch.zeros(8, 3), torch.zeros(8))

    def call(hook: str, *arguments: Any) -> None:
        for callback in engine.trainer.callbacks:  # pyright: ignore[reportAttributeAccessIssue]
            if type(callback).__module__.startswith("vit."):
                getattr(callback, hook)(trainer, task, *arguments)

    call("on_train_start")
    call("on_train_epoch_start")
    for number in range(STEPS):
        load()
        call("on_train_batch_start", batch, number)
        gpu.queue(starting=0.01, working=0.1)
        trainer.is_last_batch = number + 1 == STEPS
        call("on_train_batch_end", {"loss": torch.zeros(())}, batch, number)
    call("on_train_end")
    waited = engine.record.state_dict()
    return waited["waiting_seconds"] / waited["train_seconds"]


@pytest.fixture
def looks_wait(gpu: SimulatedGPU, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NonFiniteGuard, "_first_bad_loss", gpu.wait)


@pytest.mark.usefixtures("looks_wait")
def test_a_busy_gpu_does_not_wait_for_images(gpu: SimulatedGPU, tmp_path: Path) -> None:
    """Files that are ready; a set on the card, whose copies wait for the step before; and several processes."""

    def resident() -> None:
        gpu.queue(COPY, 0)
        gpu.wait()

    ready = lambda: gpu.queue(COPY, 0)  # noqa: E731
    shares = [share_of_waiting(gpu, tmp_path, *case) for case in ((ready,), (resident,), (ready, 2), (resident, 2))]
    assert max(shares) < 0.05, shares


@pytest.mark.usefixtures("looks_wait")
@pytest.mark.parametrize("processes", [1, 2])
def test_a_gpu_that_waits_is_seen(gpu: SimulatedGPU, tmp_path: Path, processes: int) -> None:
    def slow() -> None:
        gpu.now += 0.3

    expected = 0.3 / (0.3 + 0.01 + 0.1) if processes > 1 else 1 - 0.1 / 0.31  # alone, loading goes on beside a step
    assert share_of_waiting(gpu, tmp_path, slow, processes) == pytest.approx(expected, abs=0.05)


def test_a_slow_disk_is_seen(photo_folder: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    decode = Files.decode

    def slowly(store: Files, number: int):
        time.sleep(0.25)
        return decode(store, number)

    overrides = {"data.name": "folder", "data.path": str(photo_folder), "data.image_size": 8, "data.workers": 0}
    overrides |= {"training.batch_size": 8, "schedule.epochs": 2, "schedule.warmup_epochs": 0}
    shares = []
    for name in ("slow", "quick"):
        monkeypatch.setattr(Files, "decode", slowly if name == "slow" else decode)
        run = vit.train("digits_resnet", out=tmp_path / name, overrides=overrides)
        shares.append(read_json(run.summary)["waiting_share"])
    assert 1 >= shares[0] > shares[1] > 0 and shares[0] > 0.5
    said = [line for line in capsys.readouterr().err.splitlines() if "training waited for images" in line]
    assert len(said) == 2 and "data.cache=ram or disk" in said[0]
