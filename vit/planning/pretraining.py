"""How a folder of images is learned from without labels: what the folder leaves open, chosen with its reason."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..data.sources import datasets
from ..data.sources.datasets import Dataset
from ..errors import UserError
from ..hardware.precision import resolve_device
from ..recipe import Recipe, load_recipe
from . import networks
from .choices import Choice, settings
from .contestants import are_published_at_hand
from .survey import ANY_SIZE, shorter_side

BASE = "pretrain_vit"  # a shipped recipe
IMAGES_SEEN = {
    "cpu": 4_000_000,
    "cuda": 40_000_000,
}  # successes on small data: 40 to 100 million
FEWEST_EPOCHS, MOST_EPOCHS = 20, 1_000
PUBLISHED_WIN_BELOW, FEW = 50_000, 5_000  # images
PAIR = {"cpu": networks.PAIRS[1], "cuda": networks.PAIRS[3]}
KINDS = {
    "folder": "class folders: the labels are not read, but keep the test images of a later training apart",
    "unlabelled": "no class folders: all images below it",
}


def choose(source: str | Path, overrides: Mapping[str, Any]) -> tuple[Recipe, list[Choice], str]:
    """Return the complete recipe, what was chosen for it, and whether it is likely to pay.

    Raises UserError for what holds no images.
    """
    about, dataset = of_data(source, overrides)
    device = resolve_device(overrides.get("training.device", "auto"))
    side, pair = shorter_side(dataset.train), PAIR[device]
    size = overrides.get("data.image_size", networks.image_size_for(side, pair))
    about.append(Choice("data.image_size", size, f"the shorter side is {side} pixels in the middle"))
    if isinstance(size, int) and "model.name" not in overrides:
        about.append(of_network(pair, size, device))
    count = len(dataset.train)
    epochs = max(FEWEST_EPOCHS, min(MOST_EPOCHS, round(IMAGES_SEEN[device] / count)))
    epochs = overrides.get("schedule.epochs", epochs)
    seen = f"{epochs * count:,} images seen: fewer than some millions teach little"
    about.append(Choice("schedule.epochs", epochs, seen))
    about.append(Choice("schedule.warmup_epochs", round(epochs / 20, 2), "a twentieth of the epochs"))
    if dataset.small or side <= networks.SMALL:
        step = {"random_crop": {"padding": max(1, side // 8)}}
        about.append(Choice("augment", [step, "horizontal_flip"], "crops of the padded image, for small ones"))
    return load_recipe(BASE, {**settings(about), **overrides}), about, outlook(count, are_published_at_hand() is None)


def outlook(images: int, published: bool) -> str:
    """Return in words whether pretraining on so many images is likely to pay (docs/pretraining.md has the sources)."""
    if published and images < PUBLISHED_WIN_BELOW:
        better = f"on sets below about {PUBLISHED_WIN_BELOW:,} they usually teach more: vit finetune vit_tiny DATA"
        return f"{images:,} images; published weights are at hand, and {better}"
    if images < FEW:
        return f"{images:,} images: that is few to learn from alone; published weights, where they fit, teach more"
    return f"{images:,} images: worth trying where labels are few; compare it with training longer from scratch"


def of_data(source: str | Path, overrides: Mapping[str, Any]) -> tuple[list[Choice], Dataset]:
    """Return how the images are read, and they: as their labels split them where they have some, else all of them."""
    name, path = datasets.named(source)
    given = {key: value for key, value in overrides.items() if key.startswith("data.")}
    kinds = [name] if name != "folder" else [name, "unlabelled"]
    refusals: list[UserError] = []
    for kind in kinds:
        about = [Choice("data.name", kind, KINDS.get(kind, ""))]
        about += [] if path is None else [Choice("data.path", path, "")]
        try:
            section = load_recipe(BASE, {**settings(about), "data.image_size": ANY_SIZE, **given}).data
            return about, datasets.load(section)
        except UserError as error:
            refusals.append(error)
    raise refusals[0]


def of_network(pair: networks.Pair, size: int, device: str) -> Choice:
    """Return the Vision Transformer for a device, in the shape that masked pretraining asks for."""
    model = pair.vit_for(size)
    del model["position_std"]
    shape = {"positions": "sincos_2d", "class_token": False, "pool": "mean"}
    return Choice(
        "model", model | shape, "small enough for a CPU" if device == "cpu" else "as large as a GPU learns fast"
    )
