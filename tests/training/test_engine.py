"""How a training begins and ends, whatever trains."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from vit.errors import UserError
from vit.hardware.machine import OUT_OF_SHARED_MEMORY
from vit.recipe import load_recipe
from vit.run_folder import RunFolder
from vit.training.engine import fit


class Trainer(SimpleNamespace):
    """Fails as it is told to."""

    def __init__(self, error: Exception | None = None) -> None:
        launcher = SimpleNamespace(procs=[1, 2], kill=lambda _: self.events.append("killed"))
        strategy = SimpleNamespace(root_device=torch.device("cpu"), launcher=launcher)
        super().__init__(events=[], interrupted=False, accumulate_grad_batches=2, world_size=1, strategy=strategy)
        self.error = error

    def fit(self, *_: Any, **__: Any) -> None:
        self.events.append("trained")
        if self.error:
            raise self.error


def train(trainer: Any, folder: Path) -> None:
    task: Any = SimpleNamespace(recipe=load_recipe("digits_vit"))
    fit(trainer, task, RunFolder(folder), None)


def test_the_peak_of_memory_is_the_trainings_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = Trainer()
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda: trainer.events.append("reset"))
    train(trainer, tmp_path)
    assert trainer.events == ["reset", "trained"]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (RuntimeError("CUDA error: out of memory"), "out of memory: a step in 2 parts of 32 images"),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Bus error."), OUT_OF_SHARED_MEMORY[:20]),
        (UserError("training diverged"), "^training diverged$"),
    ],
)
def test_what_ends_a_training_ends_the_processes_that_it_started(error: Exception, message: str, tmp_path) -> None:
    trainer = Trainer(error)
    with pytest.raises(UserError, match=message):
        train(trainer, tmp_path)
    assert trainer.events == ["trained", "killed"] and trainer.strategy.launcher.procs == []
