"""How speed and memory of training grow: with batch, resolution, depth, width, loading workers and processes.

    uv run tools/measure_growth.py [CIFAR10]

Writes docs/growth/: a plot of each, and growth.json with every number. ViT-S/16 and ResNet-50 in the precision that
is fastest here, one thing changed at a time, each in a process of its own. With CIFAR10, the data set as folders of
images, one epoch is trained on one and on two processes, too. Nothing else should run meanwhile.
"""

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from vit.bench import loading, steps
from vit.bench.cases import BenchmarkCase
from vit.bench.peers import Settings
from vit.bench.rounds import System, Timed, time_in_turns
from vit.bench.rows import OURS, speeds
from vit.bench.steps import Entry
from vit.commands.bench_data import our_systems, two_photographs
from vit.environment import environment
from vit.errors import UserError
from vit.files import read_json, write_json, write_text
from vit.hardware.precision import resolve_device, resolve_precision
from vit.report.plots.drawing import COLORS, STYLE, svg

FOLDER = Path(__file__).parent.parent / "docs" / "growth"
ROUNDS, SECONDS = 3, 1.0
BATCH_SIZE = 8  # where it does not grow
HEAD_WIDTH = 64
POWERS = ("resolution", "depth", "width")  # a power of what grows is a straight line on two logarithmic axes
DOUBLING = ("batch size", *POWERS)


@dataclass(frozen=True)
class Point:
    """One measurement: of which curve, at which value of what grows."""

    axis: str
    curve: str
    value: int
    case: BenchmarkCase


def main() -> None:
    device = resolve_device("auto")
    precision, _ = resolve_precision("auto", device)
    rows: list[dict[str, Any]] = []
    for point in points():
        entry = Entry(OURS, Settings(), point.case, precision, device)
        timed = measured(System(point.axis, steps.prepare, arguments(entry), warms_up=True))
        rows.append({"axis": point.axis, "curve": point.curve, "value": point.value} | told(timed))
        print(rows[-1], flush=True)
    rows += list(workers())
    if len(sys.argv) > 1:
        rows += list(processes(sys.argv[1]))
    FOLDER.mkdir(exist_ok=True)
    write_json(FOLDER / "growth.json", {"environment": environment(), "precision": precision, "rows": rows})
    draw_all(rows)


def points() -> Iterator[Point]:
    small = {"ViT-S/16": ("vit_small", {}), "ResNet-50": ("resnet50", {})}
    for curve, (model, options) in small.items():
        for batch_size in (1, 4, 16, 32):
            yield Point("batch size", curve, batch_size, BenchmarkCase(curve, model, options, 224, batch_size))
        for side in (224, 384, 512, 1024):
            yield Point("resolution", curve, side, BenchmarkCase(curve, model, options, side, 2))
    for depth in (6, 12, 24):
        shape = {"patch_size": 16, "embed_dim": 384, "depth": depth, "num_heads": 6}
        yield Point("depth", "ViT, width 384", depth, BenchmarkCase("ViT", "vit", shape, 224, BATCH_SIZE))
    for width in (192, 384, 768):
        shape = {"patch_size": 16, "embed_dim": width, "depth": 12, "num_heads": width // HEAD_WIDTH}
        yield Point("width", "ViT, 12 blocks", width, BenchmarkCase("ViT", "vit", shape, 224, BATCH_SIZE))


def arguments(entry: Entry) -> dict[str, Any]:
    import torch

    return {"task": "train", "entry": entry, "seconds": SECONDS, "threads": torch.get_num_threads()}


def measured(system: System) -> Timed | None:
    """Return what was measured, or None where it failed: for want of memory, say."""
    try:
        return time_in_turns([system], ROUNDS)[system.name]
    except UserError as error:
        print(str(error).splitlines()[-1], flush=True)
        return None


def told(timed: Timed | None) -> dict[str, Any]:
    return speeds(timed) if timed else {"images_per_second": None, "low": None, "high": None, "peak_memory_bytes": None}


def workers() -> Iterator[dict[str, Any]]:
    """Yield how fast random crops of photographs are loaded by so many threads."""
    with tempfile.TemporaryDirectory() as scratch:
        photographs = two_photographs(Path(scratch) / "photographs")
        for count in (0, 1, 2, 4):
            settings = {"repeats": 400, "image_size": 224, "batch_size": 64, "workers": count}
            arguments = our_systems(photographs, settings, Path(scratch))[0].arguments
            timed = measured(System("loading", loading.ours, arguments))
            yield {"axis": "loading workers", "curve": "random crops of 224 pixels", "value": count} | told(timed)


def processes(images: str) -> Iterator[dict[str, Any]]:
    """Yield how fast one epoch of CIFAR-10's narrow ViT is on one and two processes, a thread each."""
    for count in (1, 2):
        settings = ["schedule.epochs=1", "schedule.warmup_epochs=0", "data.fraction=0.1", f"data.path={images}"]
        with tempfile.TemporaryDirectory() as scratch:
            out = Path(scratch) / "run"
            command = [sys.executable, "-m", "vit", "train", "cifar10_cpu_vit", *settings, "--out", str(out)]
            one_thread = {"OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin", "HOME": str(Path.home())}
            subprocess.run([*command, f"training.devices={count}"], check=True, env=one_thread, capture_output=True)
            summary = read_json(out / "summary.json")
        speed = summary["train_images_per_second"]
        yield {
            "axis": "processes",
            "curve": "cifar10_cpu_vit",
            "value": count,
            "images_per_second": round(speed, 2),
            "low": None,
            "high": None,
            "peak_memory_bytes": summary["peak_memory_bytes"],
        }


def draw_all(rows: list[dict[str, Any]]) -> None:
    for axis in dict.fromkeys(row["axis"] for row in rows):
        drawn = draw(axis, [row for row in rows if row["axis"] == axis and row["images_per_second"]])
        write_text(FOLDER / f"{axis.replace(' ', '_')}.svg", drawn)


def draw(axis: str, rows: list[dict[str, Any]]) -> str:
    """Return the SVG of one thing's growth: speed on the left, memory on the right."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7.5, 3.0))
        speed, memory = figure.subplots(1, 2)
        for color, curve in zip(COLORS, dict.fromkeys(row["curve"] for row in rows), strict=False):
            own = [row for row in rows if row["curve"] == curve]
            values = [row["value"] for row in own]
            look: Any = {"color": color, "marker": "o", "markersize": 4, "label": curve}
            speed.plot(values, [row["images_per_second"] for row in own], **look)
            memory.plot(values, [row["peak_memory_bytes"] / 1e9 for row in own], **look)
        for panel, name in ((speed, "images/s"), (memory, "peak memory, GB")):
            panel.set_xlabel(axis)
            panel.set_ylabel(name)
            if panel is speed and axis in POWERS:
                panel.set_yscale("log", base=2)
                panel.yaxis.set_major_formatter("{x:g}")
            else:
                panel.set_ylim(0, 1.1 * panel.get_ylim()[1])
            if axis in DOUBLING:
                panel.set_xscale("log", base=2)
                panel.xaxis.set_major_formatter("{x:g}")
                panel.xaxis.set_minor_locator(NullLocator())
            panel.set_xticks(sorted({row["value"] for row in rows}))
            panel.tick_params(labelsize=8)
        speed.legend(fontsize=8)
        return re.sub(r"<svg ", '<svg style="background:#ffffff" ', svg(figure), count=1)


if __name__ == "__main__":
    main()
