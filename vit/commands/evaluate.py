"""`vit evaluate`: a model and a split become logits on disk, and the scores they give."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader

from .. import checkpoint, processes
from ..checkpoint import Loaded
from ..data import datasets
from ..data.datasets import Images
from ..data.loading import evaluation_loader
from ..errors import UserError
from ..machine import keep_freed_memory
from ..recipe import Data
from ..results import metrics
from ..run_folder import RunFolder, replace_file, write_json
from ..training.precision import available_device
from ..training.sharding import gather_rows, join_processes
from .answering import ready
from .inputs import tell


@dataclass(frozen=True)
class Evaluation:
    """What `vit evaluate` found, and where it wrote it."""

    scores: dict[str, Any]
    folder: RunFolder


def evaluate(
    model: str | Path,
    data: str | Path | None = None,
    *,
    split: str = "test",
    merge_tokens: int = 0,
    precision: str = "fp32",
    out: str | Path | None = None,
) -> Evaluation:
    """Evaluate a model on a split of its own data, or on the folder or dataset `data`, every image once.

    With `merge_tokens` every block of a ViT merges so many pairs of tokens; `precision` is "fp32", which is exact, or
    "bf16", "fp16" or "auto", the fastest here. A folder without splits is evaluated whole.
    The processes that torchrun or SLURM started share the images, whatever their number. Writes evaluation/<split>.npz
    (ids, labels, logits) and <split>.json into `out`, or into the model's run folder, or for other data and for faster
    answers into evaluations/. Raises UserError for classes that the model does not know.
    """
    loaded = tell(checkpoint.load(model))
    own = loaded.recipe.data if loaded.recipe else None
    if data is None and own is None:
        advice = f"vit evaluate {shlex.quote(str(model))} DATA"
        raise UserError(f"{model} was not trained here, so there are no images of its own: {advice}")
    if own and (data is None or is_own(own, data)):
        dataset = datasets.load(own)
        images, small, place = dataset.split(split), dataset.small, run_of(model)
    else:
        assert data is not None
        images, small = other_images(data, split, loaded)
        place = Path("evaluations") / f"{run_of(model).name}-{Path(data).name}"
    device = available_device(loaded.recipe.training.device if loaded.recipe else "auto")
    if device == "cpu":
        keep_freed_memory()
    loaded, manner = ready(loaded, merge_tokens, precision, device)
    if manner:
        place = Path("evaluations") / f"{place.name}{manner}"
    datasets.check_readable(images)
    folder = RunFolder(out if out is not None else place)
    workers = own.workers if own else "auto"
    share = join_processes(device)
    loader = evaluation_loader(images, loaded.preprocessing, workers, small, share)
    logits = gather_rows(predict_logits(loaded.module.to(device), loader, device), share)
    scores = metrics.scores(logits, images.labels, list(loaded.classes))
    if processes.is_first():
        _write(folder, split, images, logits, scores)
    return Evaluation(scores, folder)


def is_own(own: Data, data: str | Path) -> bool:
    """Return whether `data` is what the model was trained on, however its path is written."""
    if own.path is None:
        return str(data) == own.name
    return Path(data).resolve() == Path(own.path).resolve()


def run_of(model: str | Path) -> Path:
    """Return the run folder of a model, or the path that stands for it where it has none."""
    path = Path(model)
    return path.parent if RunFolder(path.parent).model == path else path.with_suffix("") if path.is_file() else path


def other_images(data: str | Path, split: str, loaded: Loaded) -> tuple[Images, bool]:
    """Return the images of a folder or dataset that the model was not trained on, labelled by the model's classes."""
    name, path = datasets.named(data)
    source = datasets.DATASETS[name](path=path)
    numbers = loaded.class_numbers
    unknown = set(source.classes) - set(numbers)
    if unknown:
        known = f"{len(loaded.classes)} ({_shortened(loaded.classes)})" if loaded.classes else "none that are named"
        raise UserError(
            f"the data has {len(source.classes)} classes ({_shortened(source.classes)}), "
            f"the model {known}; it cannot know {_shortened(sorted(unknown))}"
        )
    whole = set(source.splits) == {"train"}
    if not whole and split not in source.splits:
        raise UserError(f"{data} has no split {split} ({', '.join(source.splits)})")
    images = source.splits["train" if whole else split]
    places = np.array([numbers[name] for name in source.classes])
    return replace(images, labels=labels_at(places, images.labels, len(loaded.classes))), source.small


def labels_at(places: np.ndarray, labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Return labels in which class c of the data is class places[c] of the model."""
    if labels.ndim == 1:
        return places[labels]
    moved = np.zeros((len(labels), num_classes), dtype=bool)
    moved[:, places] = labels
    return moved


def show(evaluation: Evaluation, split: str) -> str:
    """Return the scores in a few lines."""
    written = f"written to {evaluation.folder.scores(split)} and {evaluation.folder.logits(split).name}"
    said = labels_in_words if "mean_average_precision" in evaluation.scores else classes_in_words
    return "\n".join([*said(evaluation.scores, split), written])


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


def predict_logits(module: nn.Module, loader: DataLoader, device: str) -> np.ndarray:
    """Return the logits [N, C] of every image of a loader, in its order."""
    with torch.inference_mode():
        batches = [module(inputs.to(device)).float().cpu().numpy() for inputs, _ in loader]
    return np.concatenate(batches)


def _shortened(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


def _write(folder: RunFolder, split: str, images: Images, logits: np.ndarray, scores: dict[str, Any]) -> None:
    ids = np.array(images.ids)
    replace_file(
        folder.logits(split), lambda path: np.savez_compressed(path, ids=ids, labels=images.labels, logits=logits)
    )
    write_json(folder.scores(split), scores)
