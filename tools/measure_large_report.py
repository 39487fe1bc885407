"""How much memory and time the report of a large comparison takes once its trainings are done, on made-up logits.

    uv run tools/measure_large_report.py FOLDER [--images N] [--classes C] [--models M] [--seeds S]

Fills FOLDER with runs as a finished comparison keeps them, unless they are there, and writes their report in a process
of its own: everything that stands on the logits, from the checks of what was kept to the files. Costs are made up;
changed images, looks inside and audits are of images, of which there are none, and left out. Prints a line a step, and
the whole as JSON: seconds, and the most memory that the process ever held.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vit.data.sources import contents
from vit.data.sources.contents import Contents
from vit.environment import environment
from vit.evaluation import logits as logits_file
from vit.files import digest_of_file, write_csv, write_json, write_text
from vit.recipe import Recipe, load_recipe
from vit.report import metrics
from vit.run_folder import RunFolder

MODELS: dict[str, tuple[str, dict[str, Any]]] = {  # recipe and its changes, by model
    "vit_small": ("imagenet_vit_small", {}),
    "resnet50": ("imagenet_resnet50", {}),
    "resnet50_se": ("imagenet_resnet50", {"model.attention": "se"}),
    "resnet50_eca": ("imagenet_resnet50", {"model.attention": "eca"}),
    "resnet50_cbam": ("imagenet_resnet50", {"model.attention": "cbam"}),
}
EPOCHS = 90
AT_ONCE = 1_000  # images whose logits are drawn together
MIB = 2**20


@dataclass(frozen=True)
class Size:
    """How large a comparison is: images by split, classes, models and seeds."""

    images: int
    validation: int
    training: int
    classes: int
    models: int
    seeds: int


def make_runs(folder: Path, size: Size) -> None:
    """Make up the runs that are missing in a folder."""
    told = folder / "size.json"
    if told.exists() and json.loads(told.read_text()) != vars(size):
        sys.exit(f"{folder} holds runs of another size; choose another folder")
    write_json(told, vars(size))
    names = list(MODELS)[: size.models]
    runs = {(name, seed): folder / "runs" / name / f"seed-{seed}" for name in names for seed in range(size.seeds)}
    labels = {
        split: np.random.default_rng([number, 0]).integers(size.classes, size=count)
        for number, (split, count) in enumerate((("test", size.images), ("validation", size.validation)))
    }
    kept, images = contents_of(size), folder / "images.npz"
    contents.write(images, kept)
    for (name, seed), path in runs.items():
        run = RunFolder(path)
        if not run.scores("test").exists():
            path.mkdir(parents=True, exist_ok=True)
            shutil.copy(images, run.images)
            make_run(run, names.index(name), name, seed, kept, labels, size)
            print(f"made up {path}", file=sys.stderr)


def contents_of(size: Size) -> Contents:
    counts = {"train": size.training, "validation": size.validation, "test": size.images}
    ids = {
        split: np.array([f"{split}/n{i % size.classes:08}/{split}_{i:08}.JPEG" for i in range(count)])
        for split, count in counts.items()
    }
    generator = np.random.default_rng(1)
    digests = {split: generator.integers(2**63, size=len(names), dtype=np.uint64) for split, names in ids.items()}
    return Contents(ids, digests)


def make_run(
    run: RunFolder, model: int, name: str, seed: int, kept: Contents, labels: dict[str, np.ndarray], size: Size
) -> None:
    """Write the files of a run that a report reads, the scores of test last."""
    source, changes = MODELS[name]
    recipe = load_recipe(source, changes | {"training.seed": seed, "data.path": "imagenet"})
    write_text(run.recipe, recipe.to_yaml())
    run.model.write_bytes(f"{name} {seed}".encode())
    write_json(run.environment, environment())
    classes = [f"n{i:08}" for i in range(size.classes)]
    for number, split in ((1, "validation"), (0, "test")):
        logits = made_up(labels[split], size.classes, (number, model, seed))
        path = run.logits(split)
        logits_file.write(path, kept.ids[split], labels[split], logits)
        scores = metrics.scores(logits, labels[split], classes)
        ties = {"model_digest": digest_of_file(run.model), "logits_digest": digest_of_file(path)}
        ties["images_digest"] = contents.digest_of_all(kept.digests[split])
        if split == "validation":
            write_training(run, recipe, scores["top1"], size)
        write_json(run.scores(split), scores | ties)


def made_up(labels: np.ndarray, num_classes: int, of: tuple[int, int, int]) -> np.ndarray:
    """Return logits [N, C], float32, of which about three in four are right.

    What makes an image hard or like other classes is in part the same for all models and for all seeds of one; `of` are
    the numbers of split, model and seed.
    """
    split, model, seed = of
    logits = np.empty((len(labels), num_classes), dtype=np.float32)
    for first in range(0, len(labels), AT_ONCE):
        own = labels[first : first + AT_ONCE]
        block = logits[first : first + AT_ONCE]
        block[:] = 0
        ease = np.zeros(len(own), dtype=np.float32)
        for share, keys in ((0.8, (0, 0)), (0.4, (1 + model, 0)), (0.45, (1 + model, 1 + seed))):
            generator = np.random.default_rng([2, split, first, *keys])
            block += np.float32(share) * generator.standard_normal(block.shape, dtype=np.float32)
            ease += np.float32(share) * generator.standard_normal(len(own), dtype=np.float32)
        highest = np.sqrt(2 * np.log(num_classes)) - 0.3  # about where the largest of the others lies
        block[np.arange(len(own)), own] += np.float32(highest + 1.3) + 2 * ease
        block *= np.float32(2.5)
    return logits


def write_training(run: RunFolder, recipe: Recipe, top1: float, size: Size) -> None:
    """Write what a training says of itself."""
    epochs = np.arange(1, EPOCHS + 1)
    way = 1 - np.exp(-epochs / 20)
    rows = [
        {"epoch": int(epoch), "images_seen": int(epoch) * size.training, "seconds": 1e3 * float(epoch)}
        | {"validation_top1": float(top1 * part / way[-1])}
        for epoch, part in zip(epochs, way, strict=True)
    ]
    write_csv(run.metrics, rows)
    write_json(
        run.summary,
        {
            "model": recipe.model.name,
            "parameters": 25_000_000,
            "macs": 4_000_000_000,
            "epochs": EPOCHS,
            "seconds": 1e3 * EPOCHS,
            "images_seen": EPOCHS * size.training,
            "training_images": size.training,
            "validation_images": size.validation,
            "validation_top1": top1,
            "peak_memory_bytes": None,
            "precision": "fp32",
            "threads": 1,
        },
    )


def report(folder: Path) -> Iterator[tuple[str, Callable[[Any], Any]]]:
    """Yield the steps from finished runs to the files of a report, each of which is given what came of the last."""
    from vit.comparison.kept_results import read_runs
    from vit.comparison.plan import name_finished
    from vit.report import write
    from vit.report.build import compare_runs
    from vit.report.pictures import Pictures
    from vit.report.results import Environment, StudyDesign, Unaudited

    planned = name_finished([RunFolder(path) for path in sorted(folder.glob("runs/*/*"))])
    design = StudyDesign("as_found", None, 0.01, True, False)
    audits = [Unaudited([], looked=False, images=0, leaks=0)]
    costs: Any = {one.model: made_up_cost(one.model) for one in planned}
    told = {"title": "made up", "environment": Environment(**environment())}
    yield "read_runs", lambda _: read_runs(planned)
    yield "compare_runs", lambda read: compare_runs(read, costs, audits, design, **told)
    yield "write", lambda results: write.write(folder, results, Pictures())


def made_up_cost(model: str) -> dict[str, Any]:
    rates = {"latency_ms": 10.0, "images_per_second": 100.0, "train_images_per_second": 30.0}
    rounds = {f"{key}{end}": value for key, value in rates.items() for end in ("", "_low", "_high")}
    family = "vit" if model.startswith("vit") else "cnn"
    where = {"batch_size": 8, "train_batch_size": 8, "threads": 1, "device": "cpu", "model_bytes": 1_000}
    return {"family": family, "model_digest": model} | rounds | where


def measure(folder: Path) -> dict[str, Any]:
    """Write the report of a folder's runs; return the seconds of its steps, and the most memory up to each one's end.

    Processor seconds are those of this process: what the steps would take where nothing else runs.
    """
    steps: dict[str, Any] = {}
    value: Any = None
    for name, step in report(folder):
        steps = steps or {"start": {"peak_mib": peak_mib()}}
        start, working = time.perf_counter(), time.process_time()
        value = step(value)
        seconds = {"seconds": time.perf_counter() - start, "processor_seconds": time.process_time() - working}
        steps[name] = {key: round(each, 1) for key, each in seconds.items()} | {"peak_mib": peak_mib()}
        print(name, steps[name], file=sys.stderr, flush=True)
    sizes = {path.name: path.stat().st_size for path in sorted(folder.iterdir()) if path.is_file()}
    sums = {key: round(sum(each.get(key, 0) for each in steps.values()), 1) for key in ("seconds", "processor_seconds")}
    return {"steps": steps, **sums, "peak_mib": peak_mib(), "bytes": sizes}


def peak_mib() -> int:
    """Return the most memory that this process ever held, mapped files included."""
    status = Path("/proc/self/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) * 1024 // MIB


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--images", type=int, default=50_000)
    arguments.add_argument("--validation", type=int, default=12_812, help="images, 1 %% of training by default")
    arguments.add_argument("--training", type=int, default=1_268_355, help="images, by name alone")
    arguments.add_argument("--classes", type=int, default=1_000)
    arguments.add_argument("--models", type=int, default=5, choices=range(2, len(MODELS) + 1))
    arguments.add_argument("--seeds", type=int, default=3)
    arguments.add_argument("--here", action="store_true", help="measure in this process what is there")
    given = arguments.parse_args()
    size = Size(*(getattr(given, name) for name in Size.__annotations__))
    if given.here:
        print(json.dumps(vars(size) | measure(given.folder)))
        return
    make_runs(given.folder, size)
    sys.exit(subprocess.run([sys.executable, *sys.argv, "--here"], check=False).returncode)


if __name__ == "__main__":
    main()
