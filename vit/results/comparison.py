"""Runs of several models on the same test images become one set of results: plain values, ready to be told.

Pure: the same runs give the same results. Timings are the only values that were not computed from logits.
"""

from collections import defaultdict
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np

from ..errors import UserError
from ..settings import flattened
from .statistics import PairedTest, accuracy, holm, paired_test

SIGNIFICANCE = 0.05
MATCHED_WITHIN = 1.1  # largest over smallest
NO_DIFFERENCE = "no detectable difference"


@dataclass(frozen=True)
class Run:
    """One finished training: what it was given, and what came of it."""

    model: str
    fraction: float
    seed: int
    recipe: dict[str, Any]
    summary: dict[str, Any]
    scores: dict[str, Any]
    ids: np.ndarray
    labels: np.ndarray
    logits: np.ndarray
    curve: dict[str, list[float]]
    machine: str
    skipped: list[dict[str, str]]  # path and reason of files that were left out

    def correct(self) -> np.ndarray:
        return (self.logits.argmax(1) == self.labels).astype(float)


def compare_runs(runs: list[Run], costs: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return everything that results.json holds, from runs and what each model costs.

    Raises UserError for runs tested on different images.
    """
    check_same_images(runs)
    groups: dict[tuple[str, float], list[Run]] = defaultdict(list)
    for run in runs:
        groups[run.model, run.fraction].append(run)
    largest = max(run.fraction for run in runs)
    names = list(dict.fromkeys(run.model for run in runs))
    full = {name: groups[name, largest] for name in names if (name, largest) in groups}
    return {
        "models": [_model(name, group, costs[name]) for name, group in full.items()],
        "pairs": _pairs(full),
        "data_efficiency": [
            {"model": name, "fraction": fraction, "images": _images(group), "top1": _top1(group)}
            for (name, fraction), group in sorted(
                groups.items(), key=lambda item: (names.index(item[0][0]), item[0][1])
            )
        ],
        "calibration": [
            {"model": name} | {key: _mean(group, key) for key in ("ece", "nll", "brier")}
            for name, group in full.items()
        ],
        "robustness": [],
        "ledger": _ledger({name: group[0].recipe for name, group in full.items()}) | {"budget": _budget(full)},
        "data": _data(runs, largest),
        "confusion": {
            name: np.sum([run.scores["confusion"] for run in group], axis=0).tolist() for name, group in full.items()
        },
        "per_class": {
            name: [float(np.mean(recalls)) for recalls in zip(*(_recalls(run) for run in group), strict=True)]
            for name, group in full.items()
        },
        "curves": [{"model": run.model, "seed": run.seed} | run.curve for run in runs if run.fraction == largest],
        "training": _training(runs),
    }


def check_same_images(runs: list[Run]) -> None:
    first = runs[0]
    for run in runs:
        if not (np.array_equal(run.ids, first.ids) and np.array_equal(run.labels, first.labels)):
            raise UserError(
                f"{run.model} (seed {run.seed}) and {first.model} (seed {first.seed}) were tested on different images; "
                "a paired comparison needs the same ones: evaluate both on one test set"
            )


def _model(name: str, group: list[Run], cost: dict[str, Any]) -> dict[str, Any]:
    summary = group[0].summary
    return {
        "name": name,
        "family": cost["family"],
        "architecture": summary["model"],
        "parameters": summary["parameters"],
        "macs": summary["macs"],
        "top1": _top1(group),
        "balanced_accuracy": _mean(group, "balanced_accuracy"),
        "macro_f1": _mean(group, "macro_f1"),
        "ece": _mean(group, "ece"),
        "nll": _mean(group, "nll"),
        "train_seconds": float(np.mean([run.summary["seconds"] for run in group])),
        "train_images_per_second": cost["train_images_per_second"],
        "images_per_second": cost["images_per_second"],
        "latency_ms": cost["latency_ms"],
        "peak_memory_bytes": _most([run.summary["peak_memory_bytes"] for run in group]),
        "validation_top1": float(np.mean([run.summary["validation_top1"] for run in group])),
        "precision": summary["precision"],
        "timed_on": {key: cost[key] for key in ("device", "threads", "batch_size", "train_batch_size")},
    }


def _pairs(full: dict[str, list[Run]]) -> list[dict[str, Any]]:
    correct = {name: np.stack([run.correct() for run in group]) for name, group in full.items()}
    couples = list(combinations(full, 2))
    tests = [paired_test(correct[a], correct[b], pairs=len(couples)) for a, b in couples]
    adjusted = holm([test.p_value for test in tests])
    return [
        {"a": a, "b": b} | asdict(test) | {"p_adjusted": p, "verdict": _verdict(a, b, test, p)}
        for (a, b), test, p in zip(couples, tests, adjusted, strict=True)
    ]


def _verdict(a: str, b: str, test: PairedTest, p_adjusted: float) -> str:
    if p_adjusted >= SIGNIFICANCE:
        return NO_DIFFERENCE
    return f"{a if test.difference > 0 else b} is more accurate"


def _top1(group: list[Run]) -> dict[str, Any]:
    correct = np.stack([run.correct() for run in group])
    return asdict(accuracy(correct)) | {"seeds": correct.mean(1).tolist()}


def _mean(group: list[Run], key: str) -> float:
    return float(np.mean([run.scores[key] for run in group]))


def _most(values: list[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return max(known) if known else None


def _recalls(run: Run) -> list[float]:
    return [row["recall"] for row in run.scores["per_class"]]


def _images(group: list[Run]) -> int:
    return group[0].summary["training_images"]


def _data(runs: list[Run], largest: float) -> dict[str, Any]:
    run = next(run for run in runs if run.fraction == largest)
    return {
        "name": run.recipe["data"]["name"],
        "classes": [row["class"] for row in run.scores["per_class"]],
        "training_images": run.summary["training_images"],
        "validation_images": run.summary["validation_images"],
        "test_images": len(run.labels),
        "skipped": run.skipped,
        "test_images_per_class": np.bincount(run.labels, minlength=len(run.scores["per_class"])).tolist(),
    }


def _training(runs: list[Run]) -> dict[str, Any]:
    return {
        "seeds": sorted({run.seed for run in runs}),
        "fractions": sorted({run.fraction for run in runs}),
        "runs": len(runs),
        "starts": {run.model: run.summary.get("start") for run in runs},
        "threads": sorted({run.summary["threads"] for run in runs}),
        "machines": sorted({run.machine for run in runs}),
    }


def _ledger(by_model: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return what the recipes share and where they differ, by dotted key; seed and fraction vary by design."""
    flat = {name: flattened(recipe) for name, recipe in by_model.items()}
    keys = list(dict.fromkeys(key for values in flat.values() for key in values))
    keys = [key for key in keys if key not in ("training.seed", "data.fraction")]
    differences = [
        {"key": key, "values": {name: values.get(key) for name, values in flat.items()}}
        for key in keys
        if len({repr(values.get(key)) for values in flat.values()}) > 1
    ]
    differing = {row["key"] for row in differences}
    first = next(iter(flat.values()))
    return {
        "differences": differences,
        "matched": {key: first[key] for key in keys if key not in differing},
        "only_models_differ": all(key.startswith("model.") for key in differing),
    }


def _budget(full: dict[str, list[Run]]) -> list[dict[str, Any]]:
    """Return what every model was given to learn with, and how far apart they are: largest over smallest."""
    summaries = {name: group[0].summary for name, group in full.items()}
    rows = []
    for key in ("parameters", "macs", "images_seen", "epochs", "training_images", "precision"):
        values = {name: summary[key] for name, summary in summaries.items()}
        numbers = [value for value in values.values() if not isinstance(value, str)]
        ratio = max(numbers) / max(1, min(numbers)) if numbers else None
        matched = ratio <= MATCHED_WITHIN if ratio is not None else len(set(values.values())) == 1
        rows.append({"key": key, "values": values, "ratio": ratio, "matched": matched})
    return rows


def accuracies_table(results: dict[str, Any]) -> list[dict[str, Any]]:
    """Return results.csv: one row a model and fraction."""
    models = {model["name"]: model for model in results["models"]}
    shared = ("family", "parameters", "macs", "latency_ms", "images_per_second", "train_images_per_second")
    return [
        {"model": row["model"], "fraction": row["fraction"], "training_images": row["images"]}
        | {f"top1_{key}": row["top1"][key] for key in ("mean", "low", "high", "std")}
        | {"seeds": len(row["top1"]["seeds"])}
        | {key: models[row["model"]][key] for key in shared if row["model"] in models}
        for row in results["data_efficiency"]
    ]
