"""`vit evaluate`: a model scored on a split, in words."""

from typing import Any

from ..evaluation.evaluate import Evaluation, evaluate

__all__ = ["evaluate", "show"]


def show(evaluation: Evaluation, split: str) -> str:
    """Return the scores in a few lines."""
    written = f"written to {evaluation.folder.scores(split)} and {evaluation.folder.logits(split).name}"
    said = labels_in_words if "mean_average_precision" in evaluation.scores else classes_in_words
    remarks = [f"note: {evaluation.remark}"] if evaluation.remark else []
    return "\n".join([*remarks, *said(evaluation.scores, split), written])


def labels_in_words(s: dict[str, Any], split: str) -> list[str]:
    there = (row for row in s["per_class"] if row["images"])
    worst = sorted(there, key=lambda row: row["average_precision"])[:3]
    exact = f"{s['exact_match']:.2%} [{s['exact_match_low']:.2%}, {s['exact_match_high']:.2%}]"
    return [
        f"mean average precision {s['mean_average_precision']:.2%} on {s['num_images']:,} {split} images",
        f"micro F1 {s['micro_f1']:.2%}  macro F1 {s['macro_f1']:.2%}  all labels right {exact}",
        f"negative log-likelihood {s['nll']:.4f} a label",
        "hardest labels: " + ", ".join(f"{row['class']} {row['average_precision']:.1%}" for row in worst),
    ]


def classes_in_words(s: dict[str, Any], split: str) -> list[str]:
    worst = sorted((row for row in s["per_class"] if row["images"]), key=lambda row: row["recall"])[:3]
    return [
        f"top-1 {s['top1']:.2%} [{s['top1_low']:.2%}, {s['top1_high']:.2%}] on {s['num_images']:,} {split} images",
        f"top-5 {s['top5']:.2%}  balanced accuracy {s['balanced_accuracy']:.2%}  macro F1 {s['macro_f1']:.2%}",
        f"negative log-likelihood {s['nll']:.4f}  Brier score {s['brier']:.4f}  calibration error {s['ece']:.4f}",
        "hardest classes: " + ", ".join(f"{row['class']} {row['recall']:.1%}" for row in worst),
    ]
