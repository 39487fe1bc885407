"""The numbers behind the report's figures and tables, as rows: what a reader downloads."""

from collections.abc import Callable
from typing import Any

Rows = list[dict[str, Any]]
TIMED = ("latency_ms", "images_per_second", "train_images_per_second")
SPREAD = tuple(f"{key}{end}" for key in TIMED for end in ("", "_low", "_high"))


def learning_curves(results: dict[str, Any]) -> Rows:
    return [
        {"model": curve["model"], "seed": curve["seed"], "epoch": epoch + 1}
        | {key: curve[key][epoch] for key in ("images_seen", "seconds", "validation_top1")}
        for curve in results["curves"]
        for epoch in range(len(curve["validation_top1"]))
    ]


def confusion(results: dict[str, Any]) -> Rows:
    classes = results["data"]["classes"]
    return [
        {"model": model, "true": classes[i], "predicted": classes[j], "images": count}
        for model, table in results["confusion"].items()
        for i, counts in enumerate(table)
        for j, count in enumerate(counts)
        if count
    ]


def reliability(results: dict[str, Any]) -> Rows:
    return [
        {"model": row["model"], "temperature": how} | each
        for row in results["calibration"]
        for how, bins in (("none", row["reliability"]), ("fitted", (row["scaled"] or {}).get("reliability", [])))
        for each in bins
    ]


def risk_coverage(results: dict[str, Any]) -> Rows:
    return [
        {"model": row["model"], "coverage": coverage, "risk": risk}
        for row in results["calibration"]
        for coverage, risk in zip(*row["risk_coverage"].values(), strict=True)
    ]


def corruptions(results: dict[str, Any]) -> Rows:
    return [
        {"model": row["model"], "corruption": each["name"], "kind": each["kind"], "severity": severity, "top1": top1}
        for row in results["robustness"]
        for each in row["corruptions"]
        for severity, top1 in enumerate(each["top1"], 1)
    ]


def changes(results: dict[str, Any]) -> Rows:
    return [
        {"model": row["model"], "change": key, **each}
        for row in results["robustness"]
        for key in ("occlusion", "resolution", "shift")
        for each in row[key]
    ]


def attention_distance(results: dict[str, Any]) -> Rows:
    return [
        {"model": row["model"], "block": block, "head": head, "distance": distance}
        for row in results["inside"]
        for block, heads in enumerate(row["attention_distance"] or [], 1)
        for head, distance in enumerate(heads, 1)
    ]


def positions(results: dict[str, Any]) -> Rows:
    return [
        {"model": row["model"], "of": f"{r} {c}", "row": i, "column": j, "cosine": cosine}
        for row in results["inside"]
        for r, maps in enumerate(row["position_similarity"] or [])
        for c, table in enumerate(maps)
        for i, line in enumerate(table)
        for j, cosine in enumerate(line)
    ]


def receptive_fields(results: dict[str, Any]) -> Rows:
    return [
        {"model": row["model"], "row": i, "column": j, "strength": strength}
        for row in results["inside"]
        for i, line in enumerate((row["receptive_field"] or {"map": []})["map"])
        for j, strength in enumerate(line)
    ]


def costs_table(results: dict[str, Any]) -> Rows:
    keys = ("parameters", "macs", *SPREAD, "train_seconds")
    return [
        {"model": model["name"], "top1_mean": model["top1"]["mean"]}
        | {key: model[key] for key in (*keys, "peak_memory_bytes")}
        for model in results["models"]
    ]


def accuracies_table(results: dict[str, Any]) -> Rows:
    """Return results.csv: one row a model and fraction."""
    models = {model["name"]: model for model in results["models"]}
    shared = ("family", "parameters", "macs", *SPREAD)
    return [
        {"model": row["model"], "fraction": row["fraction"], "training_images": row["images"]}
        | {f"top1_{key}": row["top1"][key] for key in ("mean", "low", "high", "std")}
        | {"seeds": len(row["top1"]["seeds"])}
        | {key: models[row["model"]][key] for key in shared if row["model"] in models}
        for row in results["data_efficiency"]
    ]


BEHIND: dict[str, Callable[[dict[str, Any]], Rows]] = {  # by the name of the figure
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
