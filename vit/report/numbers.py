"""The numbers behind the report's figures and tables, as rows: what a reader downloads."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np

from .results import ModelRow, Results

Rows = list[dict[str, Any]]
TIMED = ("latency_ms", "images_per_second", "train_images_per_second")
SPREAD = tuple(f"{key}{end}" for key in TIMED for end in ("", "_low", "_high"))


def learning_curves(results: Results) -> Rows:
    return [
        {"model": curve.model, "seed": curve.seed, "epoch": epoch + 1}
        | {key: curve.columns[key][epoch] for key in ("images_seen", "seconds", "validation_top1")}
        for curve in results.curves
        for epoch in range(len(curve.columns["validation_top1"]))
    ]


def confusion(results: Results) -> Rows:
    classes = results.data.classes
    return [
        {"model": model, "true": classes[i], "predicted": classes[j], "images": count}
        for model, table in results.confusion.items()
        for i, counts in enumerate(table)
        for j, count in enumerate(counts)
        if count
    ]


def most_confused(results: Results, count: int) -> Rows:
    """Return the errors that the models make most often together, and the images that each of them confuses so."""
    tables = np.array([*results.confusion.values()])  # [model, true, predicted]
    errors = tables.sum(0)
    np.fill_diagonal(errors, 0)
    most = np.argsort(-errors, axis=None, kind="stable")[:count]
    names = results.data.classes
    return [
        {"true": names[i], "predicted": names[j]} | dict(zip(results.confusion, tables[:, i, j].tolist(), strict=True))
        for i, j in zip(*np.unravel_index(most, errors.shape), strict=True)
        if errors[i, j]
    ]


def reliability(results: Results) -> Rows:
    return [
        {"model": row.model, "temperature": how} | asdict(each)
        for row in results.calibration
        for how, bins in (("none", row.reliability), ("fitted", row.scaled.reliability if row.scaled else []))
        for each in bins
    ]


def risk_coverage(results: Results) -> Rows:
    return [
        {"model": row.model, "coverage": coverage, "risk": risk}
        for row in results.calibration
        for coverage, risk in zip(row.risk_coverage.coverage, row.risk_coverage.risk, strict=True)
    ]


def corruptions(results: Results) -> Rows:
    return [
        {"model": row.model, "corruption": each.name, "kind": each.kind, "severity": severity, "top1": top1}
        for row in results.robustness
        for each in row.corruptions
        for severity, top1 in enumerate(each.top1, 1)
    ]


def changes(results: Results) -> Rows:
    return [
        {"model": row.model, "change": key} | asdict(each)
        for row in results.robustness
        for key, series in (("occlusion", row.occlusion), ("resolution", row.resolution), ("shift", row.shift))
        for each in series
    ]


def attention_distance(results: Results) -> Rows:
    return [
        {"model": row.model, "block": block, "head": head, "distance": distance}
        for row in results.inside
        for block, heads in enumerate(row.attention_distance or [], 1)
        for head, distance in enumerate(heads, 1)
    ]


def positions(results: Results) -> Rows:
    return [
        {"model": row.model, "of": f"{r} {c}", "row": i, "column": j, "cosine": cosine}
        for row in results.inside
        for r, maps in enumerate(row.position_similarity or [])
        for c, table in enumerate(maps)
        for i, line in enumerate(table)
        for j, cosine in enumerate(line)
    ]


def receptive_fields(results: Results) -> Rows:
    return [
        {"model": row.model, "row": i, "column": j, "strength": strength}
        for row in results.inside
        if row.receptive_field
        for i, line in enumerate(row.receptive_field.map)
        for j, strength in enumerate(line)
    ]


def costs_table(results: Results) -> Rows:
    keys = ("parameters", "macs", *SPREAD, "train_seconds", "peak_memory_bytes", "model_bytes")
    return [{"model": model.name, "top1_mean": model.top1.mean} | _some(model, keys) for model in results.models]


def accuracies_table(results: Results) -> Rows:
    """Return results.csv: one row a model and fraction."""
    shared = {model.name: _some(model, ("family", "parameters", "macs", *SPREAD)) for model in results.models}
    return [
        {
            "model": row.model,
            "fraction": row.fraction,
            "training_images": row.images,
            "top1_mean": row.top1.mean,
            "top1_low": row.top1.low,
            "top1_high": row.top1.high,
            "top1_std": row.top1.std,
            "seeds": len(row.top1.seeds),
        }
        | shared.get(row.model, {})
        for row in results.data_efficiency
    ]


def _some(model: ModelRow, columns: tuple[str, ...]) -> dict[str, Any]:
    return {column: getattr(model, column) for column in columns}


BEHIND: dict[str, Callable[[Results], Rows]] = {  # by the name of the figure
    "accuracy": accuracies_table,
    "cost": costs_table,
    "learning_curves": learning_curves,
    "data_efficiency": accuracies_table,
    "confusion": confusion,
    "reliability": reliability,
    "risk_coverage": risk_coverage,
    "corruptions": corruptions,
    "changes": changes,
    "attention_distance": attention_distance,
    "positions": positions,
    "receptive_fields": receptive_fields,
}
