"""`vit bench data`: how fast training images are loaded, beside others."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from PIL import Image

from ..bench import loading
from ..bench.rounds import System, Timed, time_in_turns
from ..bench.rows import OURS, Benchmark, finished, megabytes, ratios, speeds, tabulate
from ..data.sources import datasets
from ..errors import UserError, nearest
from ..recipe import load_recipe

CROP = {"interpolation": "bilinear"}


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
        measured = time_in_turns(systems, rounds)
    title = f"{len(found)} images x {repeats}, random crops of {image_size} pixels, batches of {batch_size}"
    rows = [row(name, measured, against, settings) for name in measured]
    return finished(f"{title}, {workers} workers, {rounds} rounds", rows, out)


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
    """Return what the benchmark file holds of a system."""
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
        "mfu": None,
        **speeds(timed),
    }
    if name in against:
        return values | ratios(measured[OURS], timed)
    return values | {"over": {peer: ratios(timed, measured[peer])["ratio"] for peer in against}}


def show(benchmark: Benchmark) -> str:
    """Return the rows as a table."""
    peers = [row["system"] for row in benchmark.rows if row["system"] != OURS]
    rows = [
        {
            "system": row["settings"],
            "images/s": f"{row['images_per_second']:,.0f}",
            "lowest": f"{row['low']:,.0f}",
            "highest": f"{row['high']:,.0f}",
            **{f"over {peer}": f"{row['over'][peer]:.2f}" if "over" in row else "" for peer in peers},
            "memory, MB": megabytes(row["peak_memory_bytes"]),
        }
        for row in benchmark.rows
    ]
    return tabulate(benchmark.title, rows, words=1)
