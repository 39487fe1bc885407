"""The model file: weights, architecture, classes, preprocessing and recipe in one safetensors file.

It is enough for every verb, and holds no pickle: reading it runs no code. What others wrote is read by `pretrained`.
"""

import json
import logging
import shlex
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from . import models
from . import recipe as recipes
from .data.decoding.reading import read_image
from .data.preprocessing import Preprocessing
from .errors import UserError
from .files import replace_file
from .pretrained import sources
from .pretrained.class_names import synonyms
from .pretrained.fitting import built, fit, options_for
from .pretrained.header import FORMAT_VERSION
from .pretrained.weights import Weights
from .progress import print_line
from .recipe import Recipe
from .registry import MODELS, complete_options

logger = logging.getLogger("vit")


@dataclass(frozen=True)
class Architecture:
    """What a module is: a name of MODELS or timm/<name>, its complete options, and the number of its classes."""

    name: str
    options: dict[str, Any]
    num_classes: int

    def build(self, image_size: tuple[int, int]) -> nn.Module:
        return models.create_model(self.name, num_classes=self.num_classes, image_size=image_size, **self.options)


@dataclass(frozen=True)
class Loaded:
    """A model ready to use: `module` in eval mode, its `classes` in order, and the `transform` of its images.

    A published model without named classes has `classes` of no length: its outputs are features or an embedding. One
    that was not trained here has no `recipe`.
    """

    source: str
    module: nn.Module
    architecture: Architecture
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    recipe: Recipe | None
    notes: str  # what was taken for the weights of others, assumed, and left aside

    @cached_property
    def class_numbers(self) -> dict[str, int]:
        """Every name that a folder of a class may have, and the class's place; ImageNet's WordNet numbers too."""
        return synonyms(self.classes)

    @cached_property
    def transform(self) -> Callable[[Image.Image], Tensor]:
        """PIL image -> the model's input [3, height, width]."""
        return self.preprocessing.transform()

    def predict(
        self,
        paths: Sequence[str | Path],
        top: int = 5,
        batch_size: int = 64,
        *,
        unreadable: Callable[[UserError], object] | None = None,
        done: Callable[[int], object] | None = None,
    ) -> list[dict[str, Any]]:
        """Return, for every image file, {"path", "classes": names, "probabilities"}, the likeliest `top` first.

        The probabilities of a model that learned by bce are each class's own, and do not add up to 1. Where
        `unreadable` is given, it is told of every image that cannot be read, and the others are answered; `done` is
        told how many files are behind.

        Raises UserError, naming the file, for an image that cannot be read, and for a model without classes.
        """
        if not self.classes:
            advice = f"vit finetune {shlex.quote(self.source)} DATA"
            raise UserError(f"{self.source} names no classes: fine-tune it first ({advice})")
        rows = []
        for start in range(0, len(paths), batch_size):
            some, inputs = self._inputs(paths[start : start + batch_size], unreadable)
            if done is not None:
                done(min(start + batch_size, len(paths)))
            if not some:
                continue
            with torch.inference_mode():
                logits = self.module(inputs.to(next(self.module.parameters()).device)).float()
            if not logits.isfinite().all():
                raise UserError(
                    f"{self.source} answers {some[0]} and others beside it with NaN: its weights are damaged"
                )
            several = self.recipe is not None and self.recipe.training.loss == "bce"  # every class by itself
            best = (logits.sigmoid() if several else logits.softmax(-1)).topk(min(top, len(self.classes)))
            for path, values, indices in zip(some, best.values.tolist(), best.indices.tolist(), strict=True):
                rows.append({"path": str(path), "classes": [self.classes[i] for i in indices], "probabilities": values})
        return rows

    def _inputs(
        self, paths: Sequence[str | Path], unreadable: Callable[[UserError], object] | None
    ) -> tuple[list[Path], Tensor]:
        """Return the files that can be read, and the model's input of them: [B, 3, height, width]."""
        some: list[Path] = []
        inputs: list[Tensor] = []
        for path in map(Path, paths):
            try:
                image = read_image(path)
            except UserError as error:
                if unreadable is None:
                    raise
                unreadable(error)
                continue
            some.append(path)
            inputs.append(self.transform(image))
        return some, torch.stack(inputs) if inputs else torch.empty(0)


def create_model(
    name: str,
    *,
    num_classes: int,
    image_size: int | tuple[int, int] = 224,
    pretrained: bool | str | Path | None = None,
    new_head: bool = False,
    say: Callable[[str], object] = logger.info,
    **options: Any,
) -> nn.Module:
    """Build a model by name, with fresh weights or with pretrained ones.

    `pretrained` is True for the weights published under the name, or whatever `vit.load` takes. `new_head` gives leave
    to replace a head of other classes; `say` is told which weights were taken, and which part is new.

    Images [B, 3, height, width] to logits [B, num_classes]. Raises UserError for an unknown name or option, for sizes
    that do not fit together, and for weights that do not fit the model.
    """
    size = (image_size, image_size) if isinstance(image_size, int) else (image_size[0], image_size[1])
    weights = start_of(name, pretrained, options)
    module, _ = build(name, options, num_classes, size, weights, new_head, say=say)
    return module


def start_of(name: str, pretrained: bool | str | Path | None, options: dict[str, Any]) -> Weights | None:
    """Return the weights that a model starts from, or None; True stands for those published under the model's name."""
    if not pretrained:
        return None
    return sources.read_published(name) if pretrained is True else sources.read(pretrained, options)


def build(
    name: str,
    options: dict[str, Any],
    num_classes: int,
    image_size: tuple[int, int],
    weights: Weights | None,
    new_head: bool = False,
    classes: Sequence[str] | None = None,
    say: Callable[[str], object] = logger.info,
) -> tuple[nn.Module, Architecture]:
    """Return a module with the weights in it, or fresh where there are none, and what it is.

    The options of the architecture follow the weights; a new head drops the representation layer of the old one.
    """
    if weights is None:
        options = complete_options(name, options) if name in MODELS else options
        architecture = Architecture(name, options, num_classes)
        return _with_stem(architecture.build(image_size), architecture)
    fresh_head = new_head or not weights.num_classes
    complete = options_for(name, options, weights)
    if fresh_head and "representation_size" in complete:
        complete["representation_size"] = options.get("representation_size", 0)
    module = built(weights, name, num_classes, image_size, complete)
    module, architecture = _with_stem(module, Architecture(name, complete, num_classes))
    weights = weights.at(image_size, complete.get("patch_size", weights.options.get("patch_size", 0)))
    say(fit(module, weights, new_head, classes))
    return module, architecture


def _with_stem(module: nn.Module, architecture: Architecture) -> tuple[nn.Module, Architecture]:
    """Return the module, and the architecture with the stem that it chose for the image size."""
    if architecture.options.get("stem") == "auto":
        stem = "7x7" if module.get_parameter("conv1.weight").shape[-1] == 7 else "3x3"
        architecture = replace(architecture, options=architecture.options | {"stem": stem})
    return module, architecture


def save(
    path: Path,
    module: nn.Module,
    architecture: Architecture,
    classes: Sequence[str],
    preprocessing: Preprocessing,
    recipe: Recipe,
) -> None:
    """Write the model file; a failure leaves the old one whole."""
    description = {
        "format_version": FORMAT_VERSION,
        "architecture": asdict(architecture),
        "classes": list(classes),
        "preprocessing": asdict(preprocessing),
        "recipe": recipe.to_dict(),
    }
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}
    replace_file(path, lambda beside: save_file(weights, beside, metadata={"vit": json.dumps(description)}))


class Undrawn(TorchFunctionMode):
    """Draw no normal values: on the meta device that takes torch two seconds of imports, for nothing."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function in (Tensor.normal_, nn.init.normal_):
            return args[0] if args else kwargs["tensor"]
        return function(*args, **kwargs)


def check_answer(module: nn.Module, weights: Weights) -> None:
    """Raise UserError where a model of timm does not answer such images with a logit for each class."""
    size, count = weights.preprocessing.image_size, weights.num_classes
    try:
        with torch.inference_mode():
            shape = list(module(torch.zeros(1, 3, *size)).shape)
    except Exception as error:  # whatever a model does with images of a size that it is not made for
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{weights.source}: {weights.architecture} takes no images of {size[0]}x{size[1]}: {reason}"
        ) from error
    if count and shape != [1, count]:
        raise UserError(f"{weights.source}: {weights.architecture} answers with {shape}, not with {count} logits")


def load(model: str | Path, **told: Any) -> Loaded:
    """Return any MODEL ready to use: a run folder, a file or folder of weights, or a published name.

    `told` are options of the architecture that a bare file leaves open, `activation` or `num_heads`.
    Raises UserError for what is not there, not whole, of no known family, or not to be fetched.
    """
    weights = sources.read(model, told)
    size = weights.preprocessing.image_size
    architecture = Architecture(weights.architecture, weights.options, weights.num_classes)
    own = weights.architecture in MODELS  # timm's keep some tensors outside of their weights
    with ExitStack() as stack:
        if own:  # no initial values for what is replaced
            stack.enter_context(torch.device("meta"))
            stack.enter_context(Undrawn())
        module = built(weights, weights.architecture, weights.num_classes, size, weights.options)
    notes = fit(module, weights.at(size, weights.options.get("patch_size", 0)), new_head=False)
    if not own:
        check_answer(module.eval(), weights)
    return Loaded(
        source=str(model),
        module=models.in_its_layout(module).eval(),
        architecture=architecture,
        classes=weights.classes or (),
        preprocessing=weights.preprocessing,
        recipe=None if weights.recipe is None else recipes.parse(dict(weights.recipe), where=str(model)),
        notes=notes,
    )


def tell(loaded: Loaded) -> Loaded:
    """Say on stderr what was assumed of weights that were not written here."""
    if loaded.recipe is None:
        print_line(loaded.notes)
    return loaded
