"""`vit check`: what a recipe or a folder will meet, before any training: counts, broken files, and cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from ..data import datasets
from ..data.broken import decode_all
from ..data.datasets import Dataset
from ..recipe import Data, Recipe
from ..run_folder import clock
from ..say import print_line
from .inputs import is_data, load_recipe

SPLITS = ("train", "validation", "test")
MEASURED_STEPS = 3
PROBE_MACS = {"cpu": 5e10, "cuda": 2e12}  # of one measured step, so that looking stays short
FEW_IMAGES = 10  # in a class of train: too few to learn from


@dataclass(frozen=True)
class Cost:
    """What training will take on this machine, from a few measured steps."""

    parameters: int
    macs: int
    seconds_per_epoch: float
    epochs: int
    device: str
    state_bytes: int  # weights, gradients and optimizer state; activations come on top
    checkpoint_bytes: int


@dataclass(frozen=True)
class Findings:
    """Counts [class, split] in the order of SPLITS, what must be mended, what is worth a look, and the cost."""

    classes: tuple[str, ...]
    counts: np.ndarray
    faults: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    cost: Cost | None = None


def check(source: str | Path | Recipe, overrides: Mapping[str, Any] | None = None) -> Findings:
    """Read the data of a recipe, or a folder, once; and time a few steps of the recipe's training.

    Raises UserError for data that has no classes or splits to count.
    """
    recipe = None if is_data(source) else load_recipe(source, overrides)
    section = recipe.data if recipe else data_section(str(source))
    dataset = datasets.load(section)
    parts = [dataset.split(name) for name in SPLITS]
    counts = np.stack([images.counts(len(dataset.classes)) for images in parts], axis=1)
    faults = broken_files(dataset)
    cost = estimate_cost(recipe, dataset) if recipe and not faults else None
    return Findings(dataset.classes, counts, faults, remarks(dataset.classes, counts), cost)


def data_section(source: str) -> Data:
    name, path = datasets.named(source)
    return Data(name=name, path=path, image_size=(224, 224))


def broken_files(dataset: Dataset) -> list[str]:
    parts = [dataset.split(name) for name in SPLITS]
    paths = [images.folder / name for images in parts if images.folder is not None for name in images.ids]
    return [f"{path}: {reason}" for path, reason in decode_all(paths, print_line).items()]


def remarks(classes: Sequence[str], counts: np.ndarray) -> list[str]:
    found = []
    train = counts[:, 0]
    if train.max() >= 3 * max(1, train.min()):
        most, fewest = classes[int(train.argmax())], classes[int(train.argmin())]
        found.append(f"uneven classes: {most} has {train.max():,} training images, {fewest} {train.min():,}")
    few = [name for name, count in zip(classes, train, strict=True) if count < FEW_IMAGES]
    if few:
        found.append(f"fewer than {FEW_IMAGES} training images: {', '.join(few[:10])}")
    for split, column in zip(SPLITS[1:], counts[:, 1:].T, strict=True):
        absent = [name for name, count in zip(classes, column, strict=True) if count == 0]
        if absent:
            found.append(f"no {split} image of: {', '.join(absent[:10])}")
    return found


def estimate_cost(recipe: Recipe, dataset: Dataset) -> Cost:

    from .. import checkpoint
    from ..results.cost import count_macs, count_parameters, seconds_per_training_step
    from ..training.optim import state_bytes
    from ..training.precision import AUTOCAST_TYPES, resolve_device, resolve_precision

    device = resolve_device(recipe.training.device)
    precision, _ = resolve_precision(recipe.training.precision, device)
    model, size = recipe.model, recipe.data.image_size
    start = checkpoint.start_of(model.name, model.pretrained, model.options)
    module, _ = checkpoint.build(
        model.name, model.options, len(dataset.classes), size, start, model.new_head, dataset.classes
    )
    macs = count_macs(module, size)
    batch_size = min(recipe.training.batch_size, len(dataset.train), max(2, int(PROBE_MACS[device] / (3 * macs))))
    dtype = AUTOCAST_TYPES[precision]
    step = seconds_per_training_step(module, size, batch_size, device, MEASURED_STEPS, dtype)
    parameters = count_parameters(module)
    remembered = state_bytes(module, recipe.optimizer, device)
    return Cost(
        parameters=parameters,
        macs=macs,
        seconds_per_epoch=step / batch_size * len(dataset.train),
        epochs=recipe.schedule.epochs,
        device=device,
        state_bytes=4 * 2 * parameters + remembered,
        checkpoint_bytes=4 * parameters + remembered,
    )


def show(findings: Findings) -> str:
    """Return the findings as a table and a few lines."""
    lines = [_counts(findings), *(f"note: {remark}" for remark in findings.remarks)]
    if findings.cost:
        lines.append(_cost(findings.cost))
    return "\n".join(lines)


def _counts(findings: Findings) -> str:
    table = Table(box=None, header_style="bold")
    table.add_column("class")
    for split in SPLITS:
        table.add_column(split, justify="right")
    rows = list(zip(findings.classes, findings.counts.tolist(), strict=True))
    shown = rows if len(rows) <= 30 else rows[:30]
    for name, counts in shown:
        table.add_row(name, *(f"{count:,}" for count in counts))
    if len(rows) > len(shown):
        table.add_row(f"... {len(rows) - len(shown)} more", "", "", "")
    table.add_row("all", *(f"{count:,}" for count in findings.counts.sum(0)), style="bold")
    console = Console()
    with console.capture() as capture:
        console.print(table)
    return capture.get().rstrip()


def _cost(cost: Cost) -> str:
    total = cost.seconds_per_epoch * cost.epochs
    return (
        f"cost on this machine ({cost.device}), from {MEASURED_STEPS} steps without loading: "
        f"{_duration(cost.seconds_per_epoch)} an epoch, {_duration(total)} for {cost.epochs} epochs\n"
        f"{cost.parameters:,} parameters, {cost.macs:,} multiply-accumulates an image; "
        f"memory {cost.state_bytes / 1e6:,.0f} MB for weights, gradients and optimizer, activations on top; "
        f"disk {(cost.checkpoint_bytes + 4 * cost.parameters) / 1e6:,.0f} MB"
    )


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else clock(seconds)
