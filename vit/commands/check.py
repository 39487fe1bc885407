"""`vit check`: what a recipe or a folder will meet, before any training: counts, broken files, and cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from ..data import audit, datasets
from ..data.datasets import Dataset, Images
from ..recipe import Data, Recipe
from ..run_folder import clock
from ..say import print_line
from . import check_page
from .inputs import is_data, load_recipe, new_folder

SPLITS = ("train", "validation", "test")
MEASURED_STEPS = 3
PROBE_MACS = {"cpu": 5e10, "cuda": 2e12}  # of one measured step, so that looking stays short
MOST_FAULTS_TOLD = 30
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
class Seen:
    """An image of the audit: its name, split and labels."""

    name: str
    split: str
    label: str


@dataclass(frozen=True)
class Findings:
    """What an audit found; `faults` must be mended before training, `remarks` are worth a look."""

    classes: tuple[str, ...]
    counts: np.ndarray  # [class, split] in the order of SPLITS
    sizes: np.ndarray  # [N, 2]: width and height of what could be decoded
    broken: dict[str, str]  # name and reason
    leaks: list[list[Seen]]  # the same pixels in several splits
    conflicts: list[list[Seen]]  # the same pixels under several labels
    copies: list[list[Seen]]  # the same pixels more than once, in one split under one label
    near: list[list[Seen]]  # pairs, nearly the same
    faults: list[str]
    remarks: list[str]
    folder: Path
    cost: Cost | None = None


def check(
    source: str | Path | Recipe, overrides: Mapping[str, Any] | None = None, *, out: str | Path | None = None
) -> Findings:
    """Look at every image of a recipe, a folder or a CSV file once, and time a few steps of the recipe's training.

    Writes check.html and check.json into `out`. Raises UserError for data that has no classes or splits to count.
    """
    recipe = None if is_data(source) else load_recipe(source, overrides)
    section = recipe.data if recipe else data_section(str(source))
    dataset = datasets.load(replace(section, on_error="fail"))  # broken files are what it looks for
    name = source.model.name if isinstance(source, Recipe) else Path(source).stem
    folder = new_folder(out, "checks", name)
    everything = joined_splits(dataset)
    looks = audit.look(everything, print_line)
    findings = findings_of(dataset, everything, looks, section, folder)
    if recipe and not findings.faults:
        findings = replace(findings, cost=estimate_cost(recipe, dataset))
    check_page.write(findings, everything, cost_in_words(findings.cost) if findings.cost else "")
    return findings


def joined_splits(dataset: Dataset) -> Images:
    """Return the images of all splits, one behind the other."""
    parts = [dataset.split(name) for name in SPLITS]
    pixels = [images.pixels for images in parts if images.pixels is not None]
    return replace(
        dataset.train,
        ids=tuple(name for images in parts for name in images.ids),
        labels=np.concatenate([images.labels for images in parts]),
        pixels=np.concatenate(pixels) if pixels else None,
    )


def findings_of(dataset: Dataset, everything: Images, looks: audit.Looks, section: Data, folder: Path) -> Findings:
    splits = [name for name in SPLITS for _ in dataset.split(name).ids]
    seen = lambda i: Seen(everything.ids[i], splits[i], label_of(everything.labels[i], dataset.classes))  # noqa: E731
    groups = [[seen(i) for i in group] for group in audit.same(looks)]
    near = sorted(([seen(i) for i in pair] for pair in audit.nearly_same(looks)), key=is_harmless)
    counts = np.stack([dataset.split(name).counts(len(dataset.classes)) for name in SPLITS], axis=1)
    broken = {everything.ids[i]: reason for i, reason in enumerate(looks.reasons) if reason}
    leaks = [group for group in groups if len({image.split for image in group}) > 1]
    conflicts = [group for group in groups if len({image.label for image in group}) > 1]
    copies = [group for group in groups if group not in leaks and group not in conflicts]
    faults = [f"{name}: {reason}" for name, reason in broken.items()] if section.on_error == "fail" else []
    faults += [f"the same image under several labels: {in_words(group)}" for group in conflicts]
    faults += [f"the same image in several splits: {in_words(group)}" for group in leaks]
    noted = [*remarks(dataset.classes, counts), *remarks_on_copies(copies, near)]
    if broken and section.on_error == "skip":
        noted.append(f"{len(broken):,} files cannot be decoded and will be left out (data.on_error=skip)")
    sizes = looks.sizes[looks.decoded]
    return Findings(dataset.classes, counts, sizes, broken, leaks, conflicts, copies, near, faults, noted, folder)


def label_of(label: Any, classes: Sequence[str]) -> str:
    """Return a class number, or a row of labels, in words."""
    numbers = [int(label)] if np.ndim(label) == 0 else np.flatnonzero(label).tolist()
    return " | ".join(classes[number] for number in numbers)


def is_harmless(group: list[Seen]) -> tuple[bool, bool]:
    """Return False first for images of several splits, then for those of several labels."""
    return len({image.split for image in group}) == 1, len({image.label for image in group}) == 1


def in_words(group: list[Seen]) -> str:
    return ", ".join(f"{image.name} ({image.split}, {image.label})" for image in group)


def remarks_on_copies(copies: list[list[Seen]], near: list[list[Seen]]) -> list[str]:
    found = []
    if copies:
        more = sum(len(group) - 1 for group in copies)
        found.append(f"{more:,} images are copies of others in the same class and split")
    if near:
        across = sum(len({image.split for image in pair}) > 1 for pair in near)
        other = sum(len({image.label for image in pair}) > 1 for pair in near)
        told = f"{across:,} of them across splits, {other:,} under two labels"
        found.append(f"{len(near):,} pairs of images are nearly the same, {told}")
    return found


def data_section(source: str) -> Data:
    name, path = datasets.named(source)
    return Data(name=name, path=path, image_size=(224, 224))


def remarks(classes: Sequence[str], counts: np.ndarray) -> list[str]:
    found = []
    if all(name.isdecimal() for name in classes):
        found.append(f"classes are numbers, and ordered as numbers: {classes[0]}, {classes[1]}, ... {classes[-1]}")
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
        lines.append(cost_in_words(findings.cost))
    return "\n".join([*lines, (findings.folder / check_page.PAGE).as_posix()])


def faults_in_words(findings: Findings) -> str:
    """Return what must be mended, the first of it line by line."""
    shown = findings.faults[:MOST_FAULTS_TOLD]
    rest = len(findings.faults) - len(shown)
    more = [f"  and {rest:,} more, all in {findings.folder / check_page.PAGE}"] * (rest > 0)
    return "\n".join([f"{len(findings.faults):,} to mend before training:", *(f"  {line}" for line in shown), *more])


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


def cost_in_words(cost: Cost) -> str:
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
