"""The losses of fifty steps, as the real training gives them: what no change may move by accident."""

import csv
import json
import tempfile
from pathlib import Path

import torch

import vit
from vit.hardware.machine import processor_name

KEPT = Path(__file__).with_name("golden_losses.json")
RECIPES = {  # with optimizers that do not enlarge the last bit's noise, in which other machines differ
    "digits_vit": {"optimizer.lr": 5e-4},
    "digits_resnet_cbam": {"optimizer.name": "sgd", "optimizer.lr": 0.02},
}
STEPS = 50
SETTINGS = {  # an epoch is one step, so that every row of metrics.csv is a step's loss
    "schedule.epochs": STEPS,
    "schedule.warmup_epochs": 5,
    "data.fraction": 0.1,
    "data.validation_fraction": 0.01,
    "mixing.mixup": 0.2,
    "mixing.cutmix": 1.0,
    "mixing.probability": 0.5,
    "model.drop_path": 0.1,
    "training.label_smoothing": 0.1,
    "training.checkpoint_seconds": 600,
}


def kind_of_machine() -> str:
    return f"{processor_name()}, {torch.backends.cpu.get_cpu_capability()}, torch {torch.__version__}"


def losses(recipe: str) -> list[float]:
    """Train a recipe for fifty steps in fp32 on one thread, and return the loss of each."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with tempfile.TemporaryDirectory() as folder:
            run = vit.train(recipe, out=Path(folder) / "run", overrides=SETTINGS | RECIPES[recipe], quiet=True)
            with run.metrics.open() as file:
                return [float(row["train_loss"]) for row in csv.DictReader(file)]
    finally:
        torch.set_num_threads(threads)


def kept() -> dict:
    return json.loads(KEPT.read_text(encoding="utf-8"))
