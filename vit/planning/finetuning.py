"""How weights are fine-tuned on images: what the two leave open, chosen with its reason."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..data.sources import datasets
from ..data.sources.datasets import Dataset
from ..errors import UserError
from ..models.interface import structure_of
from ..pretrained.fitting import as_recipe, built
from ..pretrained.weights import Weights
from ..recipe import TIMM, Recipe, load_recipe
from .choices import Choice, settings

# Steps for so many training images: big_vision's and BiT's (arXiv:1912.11370, section 3.3); 1,000 in the middle is the
# short schedule of vision_transformer's README, 0.2 points below 10,000 steps on CIFAR-10.
STEPS = ((20_000, 500), (500_000, 1_000), (float("inf"), 20_000))
MOST_EPOCHS = 100
ADAMW_SHARE = 1 / 30  # of SGD's learning rate: 1e-4 for everything, as is usual for AdamW
# Of a start without labels; published ones for small data take 50 to 100 epochs (docs/pretraining.md).
UNLABELLED_OPTIMIZER = {"name": "adamw", "lr": 5e-4, "layer_decay": 0.75, "weight_decay": 0.05}
UNLABELLED_TIMES = 4  # as many steps
LEARNING_RATES = {"all": 3e-3, "head": 3e-2, "lora": 3e-2}  # the first is the source's; the others: docs/finetuning.md


def choose(model: str, weights: Weights, data: str | Path, overrides: Mapping[str, Any]) -> tuple[Recipe, list[Choice]]:
    """Return the complete recipe, and what was chosen for it."""
    base = "finetune_vit" if is_transformer(weights) else "finetune_resnet"
    about = [*of_model(model, weights), *of_data(data)]
    of_the_data = {key: value for key, value in overrides.items() if key.startswith("data.")}
    section = load_recipe(base, {**settings(about), **of_the_data}).data
    dataset, size = datasets.load(section), section.image_size
    head = of_head(weights, dataset)
    if head.value:
        about[0].value.pop("representation_size", None)  # of the head that it was trained with
    unlabelled = weights.pretraining is not None
    about += [head, *of_schedule(len(dataset.train), overrides, unlabelled)]
    about += of_unlabelled_start(overrides) if unlabelled else [of_learning_rate(overrides)]
    about += [of_augmentation(dataset, size, str(data)), *of_labels(dataset)]
    return load_recipe(base, {**settings(about), **overrides}), about


def is_transformer(weights: Weights) -> bool:
    import torch

    with torch.device("meta"):
        size = weights.preprocessing.image_size
        module = built(weights, weights.architecture, weights.num_classes, size, weights.options)
    return structure_of(module).family == "vit"


def of_model(model: str, weights: Weights) -> list[Choice]:
    name, options = as_recipe(weights)
    prepared = weights.preprocessing
    means = f"{prepared.interpolation}, {prepared.crop_mode} crop {prepared.crop_fraction:g}, mean "
    means += " ".join(f"{value:g}" for value in prepared.mean)
    return [
        Choice("model", {"name": name, "pretrained": model} | options, f"what {model} is ({weights.family})"),
        Choice("data.image_size", list(prepared.image_size), f"as the weights were trained; so too {means}"),
    ]


def of_data(data: str | Path) -> list[Choice]:
    name, path = datasets.named(data)
    if path is None:
        return [Choice("data.name", name, "a dataset known by name")]
    return [Choice("data.name", name, f"{data} is one"), Choice("data.path", path, "")]


def of_head(weights: Weights, dataset: Dataset) -> Choice:
    same = weights.num_classes > 0 and weights.classes == dataset.classes
    count = len(dataset.classes)
    reason = (
        f"the same {count} classes: the head goes on"
        if same
        else f"{count} classes: {', '.join(dataset.classes[:3])}, ..."
    )
    return Choice("model.new_head", not same, reason)


def of_labels(dataset: Dataset) -> list[Choice]:
    return [Choice("training.loss", "bce", "an image may have several labels")] if dataset.train.multilabel else []


def of_unlabelled_start(overrides: Mapping[str, Any]) -> list[Choice]:
    """Return what a start that never saw a label is fine-tuned by: more of everything, and its first blocks less."""
    optimizer = {key: overrides.get(f"optimizer.{key}", value) for key, value in UNLABELLED_OPTIMIZER.items()}
    return [
        *(Choice(f"optimizer.{key}", value, "") for key, value in optimizer.items()),
        Choice("model.drop_path", 0.1, "for a start without labels, as He et al. 2022 (arXiv:2111.06377, table 9)"),
    ]


def of_schedule(images: int, overrides: Mapping[str, Any], unlabelled: bool = False) -> list[Choice]:
    batch_size = overrides.get("training.batch_size", 512 if images >= STEPS[0][0] else 64)
    steps = next(steps for most, steps in STEPS if images < most) * (UNLABELLED_TIMES if unlabelled else 1)
    fitting = max(1, min(MOST_EPOCHS, round(steps * batch_size / images)))
    epochs = overrides.get("schedule.epochs", fitting)
    reason = f"about {steps:,} steps, for {images:,} training images"
    if fitting == MOST_EPOCHS:
        reason = f"as many as are worth while, for {images:,} training images"
    return [
        Choice("training.batch_size", batch_size, "64 below 20,000 images, 512 above"),
        Choice("schedule.epochs", epochs, reason),
        Choice("schedule.warmup_epochs", round(epochs / 10, 2), "a tenth of the epochs"),
    ]


def of_learning_rate(overrides: Mapping[str, Any]) -> Choice:
    trainable = overrides.get("tuning.trainable", "all")
    optimizer = overrides.get("optimizer.name", "sgd")
    if str(optimizer).startswith(TIMM) and "optimizer.lr" not in overrides:
        raise UserError(f"no learning rate of {optimizer} is known here: give one, optimizer.lr=0.001 say")
    usual = LEARNING_RATES.get(trainable, LEARNING_RATES["all"]) * (1 if optimizer == "sgd" else ADAMW_SHARE)
    lr = overrides.get("optimizer.lr", usual)
    return Choice("optimizer.lr", lr, f"for {optimizer} and tuning.trainable={trainable}")


def of_augmentation(dataset: Dataset, size: tuple[int, int], data: str) -> Choice:
    """Return crops, and mirror images, except where a mirror image is another class or none."""
    if dataset.small:
        steps: list[Any] = [{"random_crop": {"padding": max(1, min(size) // 8)}}]
        reason = "crops of the padded image, for small ones"
    else:
        steps, reason = [{"random_resized_crop": {"scale": [0.05, 1.0]}}], "crops of any size, for photographs"
    if data != "digits":
        steps.append("horizontal_flip")
        reason += "; mirrored too: leave that out where left and right differ (text, digits)"
    return Choice("augment", steps, reason)
