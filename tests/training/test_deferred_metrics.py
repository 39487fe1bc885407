"""A start brings in what it needs: each case in a process of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

from vit.commands.bench_startup import fresh_model


def told_by(program: str) -> str:
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("verb", "unneeded"),
    [
        ("predict", ["torchvision", "lightning", "torch._dynamo", "scipy", "matplotlib"]),
        ("train", ["torchmetrics.functional", "transformers", "albumentations", "scipy", "sklearn"]),
    ],
)
def test_a_verb_brings_in_no_more_than_it_uses(verb: str, unneeded: list[str]) -> None:
    program = f"import sys; from vit.commands import {verb}; print([n for n in {unneeded} if n in sys.modules])"
    assert told_by(program) == "[]\n"


@pytest.mark.parametrize("model", ["vit_tiny", "resnet18"])
def test_a_model_is_read_without_the_compiler(model: str, tmp_path: Path) -> None:
    file = fresh_model(model, tmp_path / "model.safetensors")
    program = f"import sys, vit; vit.load({str(file)!r}); print('torch._dynamo' in sys.modules)"
    assert told_by(program) == "False\n"


def test_who_asks_for_a_metric_gets_it() -> None:
    program = """
import vit.training, sys
import lightning
from lightning.pytorch.core.module import MetricCollection
assert "torchmetrics.classification" not in sys.modules
import torchmetrics, torch
accuracy = torchmetrics.Accuracy(task="multiclass", num_classes=3)
assert isinstance(accuracy, torchmetrics.Metric) and torchmetrics.MetricCollection is MetricCollection
print(accuracy(torch.tensor([0, 1, 2, 2]), torch.tensor([0, 1, 1, 2])).item())
"""
    assert told_by(program) == "0.75\n"


def test_another_torchmetrics_comes_whole() -> None:
    program = """
from vit.training import deferred_metrics
import sys
for name in [name for name in sys.modules if name.startswith("torchmetrics")]:
    del sys.modules[name]
deferred_metrics.NAME = "sklearn"  # a package without those modules
deferred_metrics.defer()
import sklearn
print(sklearn.__version__ != "", type(sklearn).__name__)
"""
    assert told_by(program) == "True module\n"
