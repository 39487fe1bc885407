"""`vit bench`: how fast this toolkit is on this machine, beside others."""

import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from PIL import Image
from rich.console import Console
from rich.table import Table

from ..bench import loading
from ..bench.rounds import System, Timed, time_in_turns
from ..data import datasets
from ..errors import UserError, nearest
from ..run_folder import environment, write_json
from ..say import Say, print_line
from .inputs import load_recipe

OURS = "vit"
CROP = {"interpolation": "bilinear"}


@dataclass(frozen=True)
class Benchmark:
    """What was measured: a row a system, and in what surroundings."""

    title: str
    rows: list[dict[str, Any]]
    environment: dict[str, Any]


def bench_data(
    folder: str | Path | None = None,
    *,
    against: Sequence[str] = ("timm", "torchvision"),
    image_size: int = 224,
    batch_size: int = 64,
    workers: int = 2,
    images: int = 2000,
    rounds: int = 5,
    out: str | Path | None = None,
    say: Say = print_line,
) -> Benchmark:
    """Time the loading of training images from class folders: decoding, random crop, mirror, normalised batches.

    Without a folder, from two photographs that scikit-learn carries. A round is at least `images` images. Raises
    UserError for peers that are not known, and for folders without images.
    """
    unknown = [name for name in against if name not in loading.PEERS]
    if unknown:
        known = ", ".join(loading.PEERS)
        raise UserError(f"there is no {unknown[0]} to load data{nearest(unknown[0], loading.PEERS)} ({known})")
    with TemporaryDirectory() as scratch:
        place = Path(folder) if folder else two_photographs(Path(scratch) / "photographs")
        found = datasets.folder(path=str(place)).splits["train"]
        repeats = -(-images // len(found))
        settings = {"repeats": repeats, "image_size": image_size, "batch_size": batch_size, "workers": workers}
        systems = [
            *our_systems(place, settings, Path(scratch)),
            *(System(name, loading.PEERS[name], {"folder": place, **settings, **CROP}) for name in against),
        ]
        measured = time_in_turns(systems, rounds, say)
    title = f"{len(found)} images x {repeats}, random crops of {image_size} pixels, batches of {batch_size}"
    rows = [row(name, measured, against, settings) for name in measured]
    benchmark = Benchmark(f"{title}, {workers} workers, {rounds} rounds", rows, environment())
    if out:
        write_json(Path(out), {"environment": benchmark.environment, "rows": rows})
    return benchmark


def our_systems(folder: Path, settings: dict[str, int], scratch: Path) -> list[System]:
    cached = {"data.cache": "disk", "data.cache_folder": str(scratch / "cache")}
    variants = {
        OURS: ({}, {}),
        f"{OURS}, antialias=false": ({}, {"antialias": False}),
        f"{OURS}, cache=disk": (cached, {}),
        f"{OURS}, cache=disk, antialias=false": (cached, {"antialias": False}),
    }
    systems = []
    for name, (data, crop) in variants.items():
        overrides = {
            "data.path": str(folder),
            "data.name": "folder",
            "data.image_size": settings["image_size"],
            "data.workers": settings["workers"],
            "training.batch_size": settings["batch_size"],
            "augment": [{"random_resized_crop": CROP | crop}, "horizontal_flip"],
        }
        recipe = load_recipe("imagenet_vit_small", overrides | data)
        systems.append(System(name, loading.ours, {"recipe": recipe, "repeats": settings["repeats"]}))
    return systems


def two_photographs(folder: Path) -> Path:
    """Write the photographs that scikit-learn carries, as two classes."""
    from sklearn.datasets import load_sample_images

    for path, pixels in zip(*(load_sample_images()[name] for name in ("filenames", "images")), strict=True):
        place = folder / Path(path).stem / Path(path).name
        place.parent.mkdir(parents=True)
        Image.fromarray(pixels).save(place, quality=95)
    return folder


def row(name: str, measured: dict[str, Timed], against: Sequence[str], settings: dict[str, int]) -> dict[str, Any]:
    """Return what the benchmark file holds of a system; ratios are the median of the rounds' own."""
    timed = measured[name]
    values = {
        "task": "data",
        "model": None,
        "system": OURS if name.startswith(OURS) else name,
        "settings": name,
        "device": "cpu",
        "precision": "fp32",
        "batch_size": settings["batch_size"],
        "image_size": settings["image_size"],
        "workers": settings["workers"],
        "images_per_second": round(timed.median, 1),
        "low": round(min(timed.rounds), 1),
        "high": round(max(timed.rounds), 1),
        "peak_memory_bytes": timed.peak_memory_bytes,
        "mfu": None,
    }
    if name in against:
        return values | {"ratio": ratio(measured[OURS], timed)}
    return values | {"over": {peer: ratio(timed, measured[peer]) for peer in against}}


def ratio(ours: Timed, theirs: Timed) -> float:
    return round(statistics.median(a / b for a, b in zip(ours.rounds, theirs.rounds, strict=True)), 3)


def show(benchmark: Benchmark) -> str:
    """Return the rows as a table."""
    peers = [row["system"] for row in benchmark.rows if row["system"] != OURS]
    table = Table(title=benchmark.title, title_justify="left", box=None, pad_edge=False)
    table.add_column("system")
    for heading in ("images/s", "lowest", "highest", *(f"over {peer}" for peer in peers), "memory, MB"):
        table.add_column(heading, justify="right")
    for values in benchmark.rows:
        speeds = [f"{values[name]:,.0f}" for name in ("images_per_second", "low", "high")]
        ratios = [f"{values['over'][peer]:.2f}" if "over" in values else "" for peer in peers]
        table.add_row(values["settings"], *speeds, *ratios, f"{values['peak_memory_bytes'] / 1e6:,.0f}")
    console = Console(file=sys.stdout, width=120, no_color=True)
    with console.capture() as capture:
        console.print(table)
    return capture.get().rstrip()
