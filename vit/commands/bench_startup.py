"""`vit bench startup`: how long a command takes from its start to its end."""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ..bench import startup
from ..bench.cases import NUM_CLASSES
from ..bench.rounds import System, Timed, time_in_turns
from ..bench.rows import Benchmark, finished, tabulate
from ..data.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing
from ..model import Model, assemble
from ..recipe import load_recipe
from .bench_data import two_photographs

PREDICT, IMPORT, FORWARD = "vit predict MODEL IMAGE", "import torch", "forward pass of one image"


def bench_startup(*, model: str = "vit_small", rounds: int = 5, out: str | Path | None = None) -> Benchmark:
    """Time help, the answer to a bad recipe, and the prediction of one image by a model of fresh weights."""
    with TemporaryDirectory() as scratch:
        weights = fresh_model(model, Path(scratch) / "model.safetensors")
        image = next(two_photographs(Path(scratch) / "photographs").glob("*/*"))
        commands = {
            "vit --help": ["--help"],
            "vit train RECIPE, a bad one": ["train", "digits_vit", "optimizer.lr=fast"],
            PREDICT: ["predict", str(weights), str(image)],
        }
        systems = [
            System("python", startup.prepare, {"arguments": ["-c", ""]}, unit="starts"),
            System(IMPORT, startup.prepare, {"arguments": startup.IMPORT_TORCH}, unit="starts"),
            *(
                System(name, startup.prepare, {"arguments": ["-m", "vit", *words]}, unit="starts")
                for name, words in commands.items()
            ),
            System(FORWARD, startup.forward, {"model": weights, "image": image}),
        ]
        measured = time_in_turns(systems, rounds)
    rows = [row(name, measured[name]) for name in measured]
    bare = seconds(measured[IMPORT]) + seconds(measured[FORWARD])
    next(row for row in rows if row["settings"] == PREDICT)["over_bare"] = round(seconds(measured[PREDICT]) / bare, 3)
    title = f"startup: median of {rounds} rounds, Python {sys.version.split()[0]}, a {model} to predict with"
    return finished(title, rows, out)


def fresh_model(name: str, path: Path) -> Path:
    recipe = load_recipe("imagenet_vit_small")
    module, architecture, _ = assemble(name, {}, NUM_CLASSES, recipe.data.image_size, None)
    preprocessing = Preprocessing(recipe.data.image_size, IMAGENET_MEAN, IMAGENET_STD)
    classes = tuple(f"class {i}" for i in range(NUM_CLASSES))
    Model(module, architecture, classes, preprocessing, recipe=recipe).save(path)
    return path


def seconds(timed: Timed) -> float:
    return 1 / timed.median


def row(name: str, timed: Timed) -> dict[str, Any]:
    return {
        "task": "startup",
        "model": None,
        "system": "vit" if name.startswith("vit ") else "python",
        "settings": name,
        "device": "cpu",
        "seconds": round(seconds(timed), 4),
        "low": round(1 / max(timed.rounds), 4),
        "high": round(1 / min(timed.rounds), 4),
    }


def show(benchmark: Benchmark) -> str:
    """Return the rows as a table."""
    rows = [
        {
            "what": row["settings"],
            "seconds": f"{row['seconds']:.2f}",
            "lowest": f"{row['low']:.2f}",
            "highest": f"{row['high']:.2f}",
            f"over {IMPORT} + {FORWARD}": f"{row['over_bare']:.2f}" if "over_bare" in row else "",
        }
        for row in benchmark.rows
    ]
    return tabulate(benchmark.title, rows, words=1)
