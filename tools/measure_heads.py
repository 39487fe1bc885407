"""What a head is worth where an image has several labels: mosaics of four photographs, every head, three seeds.

    uv run tools/measure_heads.py CIFAR FOLDER

CIFAR is a folder of class folders below train/ and test/; FOLDER keeps mosaics and runs, and a second call goes on.
Writes a table of docs/parts.md: mean average precision, label sets that are wholly right, and how often the query of a
class that is there and was found looks at its quarter most.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pages import DOCS, machine, renew
from PIL import Image

import vit
from vit.data.decoding.reading import read_image
from vit.environment import environment
from vit.explanations.attention_maps import class_attention, with_class_queries
from vit.files import read_json, write_text
from vit.model import Model

SIDE, COUNTS, SEEDS = 32, {"train": 8_000, "test": 2_000}, 3
EPOCHS, BATCH_SIZE = 10, 64
BASE: dict[str, Any] = {
    "data.name": "csv",
    "data.image_size": 2 * SIDE,
    "data.cache": "ram",
    "augment": [],
    "model.patch_size": 8,
    "model.class_token": False,
    "model.pool": "mean",
    "optimizer.lr": 2e-3,
    "schedule.epochs": EPOCHS,
    "training.batch_size": BATCH_SIZE,
    "training.loss": "bce",
}
HEADS: dict[str, dict[str, Any]] = {
    "linear, mean of the patches": {},
    "linear, one block more": {"model.depth": 5},
    "queries": {"model.head": "queries"},
    "sequence": {"model.head": "sequence", "training.loss": "cross_entropy"},
}
HEAD = """| head | parameters | mAP, % | beside the first, points | label sets right, % | its quarter, % |
|---|---:|---:|---:|---:|---:|"""


@dataclass(frozen=True)
class Scored:
    """What three seeds of one head reached: [seeds] each, and how often queries look at their quarter."""

    parameters: int
    average_precision: np.ndarray
    exact_match: np.ndarray
    pointing: float | None


def main() -> None:
    photographs, folder = Path(sys.argv[1]), Path(sys.argv[2])
    labels = folder / "mosaics" / "labels.csv"
    if not labels.is_file():
        write_mosaics(photographs, labels)
    wanted = [(name, seed) for seed in range(SEEDS) for name in HEADS]
    with ThreadPoolExecutor(os.cpu_count() or 1) as side_by_side:
        list(side_by_side.map(partial(train, labels, folder), wanted))
    scored = {name: scores_of(folder, name) for name in HEADS}
    first = next(iter(scored.values()))
    rows = [row_of(name, one, first) for name, one in scored.items()]
    made = f"{COUNTS['train']:,} mosaics, {EPOCHS} epochs, {COUNTS['test']:,} test mosaics; {SEEDS} seeds, mean and "
    made += f"range; {machine(environment())}"
    renew(DOCS / "parts.md", "heads", "\n".join([HEAD, *rows, "", made]))


def write_mosaics(photographs: Path, labels: Path) -> None:
    """Write images of four photographs each, drawn with replacement, their labels, and which class lies where."""
    generator = np.random.default_rng(0)
    labels.parent.mkdir(parents=True)
    lines, places = ["path,labels,split"], ["path,quarters"]
    for split, count in COUNTS.items():
        files = sorted((photographs / split).glob("*/*"))
        for number in range(count):
            chosen = [files[i] for i in generator.integers(0, len(files), 4)]
            name = f"{split}-{number}.png"
            mosaic(chosen).save(labels.parent / name)
            classes = [path.parent.name for path in chosen]
            lines.append(f"{name},{'|'.join(sorted(set(classes)))},{split}")
            places.append(f"{name},{'|'.join(classes)}")
    write_text(labels.with_name("quarters.csv"), "\n".join(places) + "\n")
    write_text(labels, "\n".join(lines) + "\n")


def mosaic(photographs: list[Path]) -> Image.Image:
    whole = Image.new("RGB", (2 * SIDE, 2 * SIDE))
    for number, path in enumerate(photographs):
        whole.paste(read_image(path), (number % 2 * SIDE, number // 2 * SIDE))
    return whole


def train(labels: Path, folder: Path, wanted: tuple[str, int]) -> None:
    """Train and evaluate one head with one seed in a process of its own on one core, unless that was done."""
    name, seed = wanted
    run = run_of(folder, name, seed)
    if not (run / "evaluation" / "test.json").is_file():
        settings = BASE | HEADS[name] | {"data.path": str(labels), "training.seed": seed}
        told = [f"{key}={value}" for key, value in settings.items()]
        alone = os.environ | {"OMP_NUM_THREADS": "1"}
        resumed = ["--resume"] if run.is_dir() else []
        for command in (["train", "cifar10_cpu_vit", *told, "--out", str(run), *resumed], ["evaluate", str(run)]):
            subprocess.run(["vit", *command], check=True, env=alone, stdout=subprocess.DEVNULL)


def run_of(folder: Path, name: str, seed: int) -> Path:
    return folder / f"{name.replace(', ', '-').replace(' ', '-')}-{seed}"


def scores_of(folder: Path, name: str) -> Scored:
    runs = [run_of(folder, name, seed) for seed in range(SEEDS)]
    scores = [read_json(run / "evaluation" / "test.json") for run in runs]
    models = [vit.load(run) for run in runs]
    hits = [hit for model in models for hit in pointed(model, folder / "mosaics")]
    return Scored(
        parameters=sum(parameter.numel() for parameter in models[0].module.parameters()),
        average_precision=np.array([one["mean_average_precision"] for one in scores]),
        exact_match=np.array([one["exact_match"] for one in scores]),
        pointing=float(np.mean(hits)) if hits else None,
    )


@torch.no_grad()
def pointed(model: Model, mosaics: Path) -> Iterator[bool]:
    """Yield for every class that is there and was found whether its query looks most at a quarter that shows it."""
    transformer = with_class_queries(model.module)
    if transformer is None:
        return
    listed = [line.split(",") for line in (mosaics / "quarters.csv").read_text().splitlines()[1:]]
    for name, quarters in (pair for pair in listed if pair[0].startswith("test")):
        image = model.transform(read_image(mosaics / name))[None]
        found = [label for label in set(quarters.split("|")) if model.module(image)[0, model.classes.index(label)] > 0]
        for label in found:
            seen = class_attention(model.module, transformer, image, torch.tensor([model.classes.index(label)]))[0]
            half = seen.shape[0] // 2
            sums = seen.unflatten(0, (2, half)).unflatten(2, (2, half)).sum((1, 3)).flatten()
            yield quarters.split("|")[int(sums.argmax())] == label


def row_of(name: str, one: Scored, first: Scored) -> str:
    apart = 100 * (one.average_precision - first.average_precision)
    beside = "–" if one is first else f"{apart.mean():+.2f} ({apart.min():+.2f} to {apart.max():+.2f})"
    precision, exact = 100 * one.average_precision, 100 * one.exact_match
    pointing = "–" if one.pointing is None else f"{100 * one.pointing:.1f}"
    return (
        f"| {name} | {one.parameters:,} | {precision.mean():.2f} ({precision.min():.2f} to {precision.max():.2f}) | "
        f"{beside} | {exact.mean():.2f} ({exact.min():.2f} to {exact.max():.2f}) | {pointing} |"
    )


if __name__ == "__main__":
    main()
