"""The model file: weights, architecture, classes, preprocessing and recipe in one safetensors file.

It is enough for every verb, and holds no pickle: reading it runs no code.
"""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from . import models
from . import recipe as recipes
from .data.preprocessing import Preprocessing
from .data.reading import read_image
from .errors import UserError
from .recipe import Recipe
from .run_folder import RunFolder
from .tables import TABLES

FORMAT_VERSION = 1
logger = logging.getLogger("vit")
HEADS = ("head.", "fc.", "classifier.")  # the part of a model that another class count replaces


@dataclass(frozen=True)
class Loaded:
    """A model ready to use: `module` in eval mode, its `classes` in order, and the `transform` of its images."""

    path: Path
    module: nn.Module
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    recipe: Recipe

    @cached_property
    def transform(self) -> Callable[[Image.Image], Tensor]:
        """PIL image -> the model's input [3, height, width]."""
        return self.preprocessing.transform()

    def predict(self, paths: Sequence[str | Path], top: int = 5, batch_size: int = 256) -> list[dict[str, Any]]:
        """Return, for every image file, {"path", "classes": names, "probabilities"}, the likeliest `top` first.

        Raises UserError, naming the file, for an image that cannot be read.
        """
        rows = []
        for start in range(0, len(paths), batch_size):
            some = [Path(path) for path in paths[start : start + batch_size]]
            inputs = torch.stack([self.transform(read_image(path)) for path in some])
            with torch.inference_mode():
                logits = self.module(inputs.to(next(self.module.parameters()).device)).float()
            best = logits.softmax(-1).topk(min(top, len(self.classes)))
            for path, values, indices in zip(some, best.values.tolist(), best.indices.tolist(), strict=True):
                rows.append({"path": str(path), "classes": [self.classes[i] for i in indices], "probabilities": values})
        return rows


def create_model(
    name: str,
    *,
    num_classes: int,
    image_size: int | tuple[int, int] = 224,
    pretrained: bool | str | Path | None = None,
    say: Callable[[str], object] = logger.info,
    **options: Any,
) -> nn.Module:
    """Build a model by name, from fresh weights, from timm's published ones (True), or from a model file or run folder.

    `say` is told which weights were taken, and which part is new.

    Images [B, 3, height, width] to logits [B, num_classes]. Raises UserError for an unknown name or option, for sizes
    that do not fit together, and for weights that do not fit the model.
    """
    published = pretrained is True
    module = models.create_model(name, num_classes=num_classes, image_size=image_size, pretrained=published, **options)
    if pretrained and not published:
        say(start_from(module, pretrained))
    return module


def save(path: Path, module: nn.Module, classes: Sequence[str], preprocessing: Preprocessing, recipe: Recipe) -> None:
    """Write the model file; beside the old one first, so that a failure leaves that one whole."""
    description = {
        "format_version": FORMAT_VERSION,
        "architecture": {"name": recipe.model.name, "options": recipe.model.options, "num_classes": len(classes)},
        "classes": list(classes),
        "preprocessing": asdict(preprocessing),
        "recipe": recipe.to_dict(),
    }
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".new")
    save_file(weights, beside, metadata={"vit": json.dumps(description)})
    beside.replace(path)


def load(model: str | Path) -> Loaded:
    """Return the model of a run folder or a model file; raises UserError for anything else."""
    path = model_file(model)
    description, weights = _read(path)
    architecture = description["architecture"]
    preprocessing = Preprocessing(**{k: _tuple(v) for k, v in description["preprocessing"].items()})
    module = models.create_model(
        architecture["name"],
        num_classes=architecture["num_classes"],
        image_size=preprocessing.image_size,
        **architecture["options"],
    )
    module.load_state_dict(weights)
    recipe = recipes.parse(description["recipe"], TABLES, where=str(path))
    return Loaded(path, module.eval(), tuple(description["classes"]), preprocessing, recipe)


def model_file(model: str | Path) -> Path:
    path = Path(model)
    if path.is_file():
        return path
    if RunFolder(path).model.is_file():
        return RunFolder(path).model
    if path.is_dir():
        hint = "its training has not ended" if RunFolder(path).recipe.is_file() else "it is no run folder"
        raise UserError(f"{path} holds no model.safetensors: {hint}")
    raise UserError(f"{path} is neither a run folder nor a model file")


def start_from(module: nn.Module, path: str | Path) -> str:
    """Copy a model file's weights into a module of the same architecture, and say in one line what was taken.

    A head of another shape stays as it is; any other difference raises UserError with the names.
    """
    source = model_file(path)
    _, weights = _read(source)
    own = module.state_dict()
    fresh = [n for n in own if n.startswith(HEADS) and (n not in weights or weights[n].shape != own[n].shape)]
    taken = {n: t for n, t in weights.items() if not (n.startswith(HEADS) and (n in fresh or n not in own))}
    wrong = [f"missing {n}" for n in own if n not in taken and n not in fresh]
    wrong += [f"unexpected {n}" for n in taken if n not in own]
    wrong += [
        f"{n} is {list(taken[n].shape)}, not {list(own[n].shape)}"
        for n in own
        if n in taken and taken[n].shape != own[n].shape
    ]
    if wrong:
        shown = "; ".join(wrong[:5]) + ("; ..." if len(wrong) > 5 else "")
        raise UserError(f"{source} does not fit the recipe's model: {shown}")
    module.load_state_dict(taken, strict=False)
    return f"weights of {source}" + (f"; new: {', '.join(fresh)}" if fresh else "")


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get("vit")
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is not a whole safetensors file: {error}") from error
    if text is None:
        raise UserError(f"{path} was not written by vit: it names no architecture, classes and preprocessing")
    description = json.loads(text)
    if description["format_version"] > FORMAT_VERSION:
        raise UserError(
            f"{path} is of format {description['format_version']}; this vit reads {FORMAT_VERSION}: update it"
        )
    return description, weights


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
