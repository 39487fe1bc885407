"""A model and a split become logits on disk, and the scores that follow from them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader

from ..data.loading.loaders import evaluation_loader
from ..data.sources import datasets
from ..data.sources.datasets import Images
from ..errors import UserError
from ..files import digest_of_file, write_json
from ..hardware import processes
from ..hardware.distributed import gather_rows, join_processes
from ..hardware.machine import keep_freed_memory
from ..hardware.precision import available_device
from ..inference.prepare import prepare
from ..model import load
from ..report import metrics
from ..run_folder import RunFolder
from . import logits as logits_file
from .scored_images import ScoredImages, images_to_score, place_of


@dataclass(frozen=True)
class Evaluation:
    """What `vit evaluate` found, and where it wrote it."""

    scores: dict[str, Any]
    folder: RunFolder
    scored: ScoredImages

    @property
    def remark(self) -> str | None:
        """Return what the scores must not be read without: images that the model was trained on."""
        scored, told = self.scored, []
        if scored.trained_on:
            shares = f"{scored.trained_on:,} of the {len(scored.images):,} images are"
            copies = f"{shares} copies of images that the model was trained on"
            others = f"{shares} among those that the model was trained on: this is no test of it"
            told.append(copies if scored.own else others)
        if scored.unlabelled:
            shares = f"{scored.unlabelled:,} of the {len(scored.images):,} images"
            told.append(f"{shares} were among those that the model's start learned from without labels")
        return "; ".join(told) or None


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
    The processes that torchrun or SLURM started share the images, whatever their number. Writes
    `evaluation/<split>.npz` (ids, labels, logits) and `<split>.json` into `out`, or into the model's run folder, or for
    other data and for faster answers into evaluations/. Raises UserError for classes that the model does not know.
    """
    loaded = load(model)
    if not loaded.classes:
        raise UserError(f"{model} names no classes, which its answers could be right about: vit finetune {model} DATA")
    scored = images_to_score(model, loaded, data, split)
    images = scored.images
    device = available_device(loaded.recipe.training.device if loaded.recipe else "auto")
    keep_freed_memory()
    loaded, manner = prepare(loaded, merge_tokens, precision, device)
    datasets.check_readable(images)
    folder = place_of(scored, manner, split, out)
    workers = loaded.recipe.data.workers if loaded.recipe else "auto"
    share = join_processes(device)
    loader = evaluation_loader(images, loaded.preprocessing, workers, scored.small, share)
    logits = gather_rows(predict_logits(loaded.module, loader, device), share)
    scores = metrics.scores(logits, images.labels, list(loaded.classes), loaded.output) | scored.facts
    if processes.is_first():
        scores = _write(folder, split, images, logits, scores)
    return Evaluation(scores, folder, scored)


def predict_logits(module: nn.Module, loader: DataLoader, device: str) -> np.ndarray:
    """Return the logits [N, C] of every image of a loader, in its order."""
    with torch.inference_mode():
        batches = [module(inputs.to(device)).float().cpu().numpy() for inputs, _ in loader]
    return np.concatenate(batches)


def _write(folder: RunFolder, split: str, images: Images, logits: np.ndarray, scores: dict[str, Any]) -> dict[str, Any]:
    """Write both files, and return the scores with what ties them to the logits."""
    logits_file.write(folder.logits(split), images.ids, images.labels, logits)
    scores = scores | {"logits_digest": digest_of_file(folder.logits(split))}
    write_json(folder.scores(split), scores)
    return scores
