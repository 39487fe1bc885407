"""`vit bench train` and `vit bench infer`: how fast models are here, beside the same ones of other libraries."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from ..bench import peak, peers, steps
from ..bench.cases import BenchmarkCase, read_case
from ..bench.peers import PEERS, TRAINS, Settings
from ..bench.rounds import System, Timed, time_in_turns
from ..bench.rows import OURS, Benchmark, finished, megabytes, ratios, speeds, tabulate
from ..bench.steps import Entry
from ..errors import UserError, nearest
from ..hardware.precision import resolve_device, resolve_precision
from ..models.flops import count_macs

logger = logging.getLogger(__name__)


MODELS = ("vit_small", "vit_tiny/4@32", "resnet50", "resnet50+se", "vit_base")
PASSES = {"train": 3, "infer": 1}  # a backward pass has the products of two forward ones
MATRIX_PRODUCTS = "matrix products"


def bench_models(
    task: str,
    *,
    models: Sequence[str] = MODELS,
    against: Sequence[str] = tuple(TRAINS),
    batch_size: int | None = None,
    precision: str = "auto",
    device: str = "auto",
    seconds: float = 3.0,
    rounds: int = 5,
    out: str | Path | None = None,
) -> Benchmark:
    """Time steps of training ("train") or inference ("infer") on random images, ours and the peers' in turns.

    `models` are written NAME[/PATCH][+ATTENTION][@PIXELS]; a round lasts about so many seconds. Raises UserError for
    models and peers that are not known.
    """
    there = TRAINS if task == "train" else PEERS
    unknown = [name for name in against if name not in there]
    if unknown:
        raise UserError(f"{task}: there is no peer {unknown[0]}{nearest(unknown[0], there)} ({', '.join(there)})")
    cases = [read_case(name, batch_size) for name in models]
    device = resolve_device(device)
    precision, _ = resolve_precision(precision, device)
    threads = f", {torch.get_num_threads()} threads" if device == "cpu" else ""
    title = f"{task}: {precision} on {device}{threads}, median of {rounds} rounds; x is ours over theirs"
    rows: list[dict[str, Any]] = []
    for one in cases:
        logger.info(f"{one.name}: {one.image_size} pixels, batches of {one.batch_size}, {precision} on {device}")
        rows += run_case(task, one, against, precision, device, seconds, rounds)
        finished(title, rows, out)  # keeps what is measured, should the next one fail
    return finished(title, rows, out)


def run_case(
    task: str,
    case: BenchmarkCase,
    against: Sequence[str],
    precision: str,
    device: str,
    seconds: float,
    rounds: int,
) -> list[dict[str, Any]]:
    entries = entries_of(case, against, precision, device)
    common = {"seconds": seconds, "threads": torch.get_num_threads()}
    systems = [System(MATRIX_PRODUCTS, peak.prepare, {"precision": precision, "device": device, **common}, unit="FLOP")]
    for name, entry in entries.items():
        systems.append(System(name, steps.prepare, {"task": task, "entry": entry, **common}, warms_up=True))
    measured = time_in_turns(systems, rounds)
    image_flops = 2 * PASSES[task] * count_macs(case.build(), (case.image_size, case.image_size))
    most = measured[MATRIX_PRODUCTS].median
    rows = [row(task, entries[name], measured[name], image_flops / most, measured[OURS]) for name in entries]
    return best_of_each(rows)


def entries_of(case: BenchmarkCase, against: Sequence[str], precision: str, device: str) -> dict[str, Entry]:
    """Return ours, and every peer that has the model: as it comes, and in every way that may be its best."""
    entries = {OURS: Entry(OURS, Settings(), case, precision, device)}
    for peer in against:
        if not peers.builds(peer, case):
            continue
        for settings in (peers.as_it_comes(peer), *peers.at_its_best(peer, case, device)):
            name = ", ".join(word for word in (peer, settings.in_words()) if word)
            entries[name] = Entry(peer, settings, case, peers.precision_of(peer, precision), device)
    return entries


def row(task: str, entry: Entry, timed: Timed, share: float, ours: Timed) -> dict[str, Any]:
    """Return what the benchmark file holds of an entry; an image a second is `share` of the machine's products."""
    comes = entry.system == OURS or entry.settings == peers.as_it_comes(entry.system)
    values = {
        "task": task,
        "model": entry.case.name,
        "system": entry.system,
        "settings": "default" if comes else "best",
        "settings_in_words": entry.settings.in_words(),
        "device": entry.device,
        "precision": entry.precision,
        "batch_size": entry.case.batch_size,
        "image_size": entry.case.image_size,
        **speeds(timed),
        "mfu": round(timed.median * share, 4),
    }
    return values if entry.system == OURS else values | ratios(ours, timed)


def best_of_each(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Keep, of a peer's ways that may be its best, the fastest."""
    kept: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        key = (row["system"], row["settings"])
        if key not in kept or kept[key]["images_per_second"] < row["images_per_second"]:
            kept[key] = row
    return list(kept.values())


def show(benchmark: Benchmark) -> str:
    """Return the rows as a table."""
    rows = [
        {
            "model": row["model"],
            "system": row["system"],
            "settings": told_settings(row),
            "batch": str(row["batch_size"]),
            "images/s": f"{row['images_per_second']:,.1f}",
            "lowest": f"{row['low']:,.1f}",
            "highest": f"{row['high']:,.1f}",
            "x": f"{row['ratio']:.2f}" if "ratio" in row else "",
            "from": f"{row['ratio_low']:.2f}" if "ratio" in row else "",
            "to": f"{row['ratio_high']:.2f}" if "ratio" in row else "",
            "of peak": f"{row['mfu']:.0%}",
            "memory, MB": megabytes(row["peak_memory_bytes"]),
        }
        for row in benchmark.rows
    ]
    return tabulate(benchmark.title, rows, words=3)


def told_settings(row: dict[str, Any]) -> str:
    if row["system"] == OURS or row["settings"] == "default":
        return "as it comes"
    return f"best: {row['settings_in_words']}"
