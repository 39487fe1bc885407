"""A model with all that it means, and its file: weights, architecture, classes, preprocessing, output and recipe.

The file is one of safetensors. It is enough for every verb, and holds no pickle: reading it runs no code. What others
wrote is read by `pretrained`.
"""

import json
import logging
import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from . import models
from .data.decoding.reading import read_image
from .data.preprocessing import Preprocessing
from .errors import UserError
from .files import replace_file
from .models.interface import device_of
from .pretrained import sources
from .pretrained.class_names import synonyms
from .pretrained.fitting import built, load_into, options_for
from .pretrained.header import FORMAT_VERSION
from .pretrained.start import LearnedWithoutLabels, Start
from .pretrained.weights import Weights
from .probabilities import Output, probabilities
from .recipe import Recipe, parse
from .registry import MODELS, complete_options
from .runtimes import exported as exported_files
from .runtimes.exported import ExportedFile

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Architecture:
    """What a module is: a name of MODELS or timm/<name>, its complete options, and the number of its classes."""

    name: str
    options: dict[str, Any]
    num_classes: int

    def build(self, image_size: tuple[int, int]) -> nn.Module:
        """Return a module of this architecture with fresh weights."""
        return models.build(self.name, num_classes=self.num_classes, image_size=image_size, **self.options)

    def settled_in(self, module: nn.Module) -> "Architecture":
        """Return it with what the module chose where an option left the choice to it: a stem for the image size."""
        return replace(self, options=self.options | getattr(module, "settled_options", {}))


@dataclass(frozen=True)
class Model:
    """A module and what it means: training makes it, its file holds it, and every other verb takes it.

    A published model without named classes has `classes` of no length: its outputs are features or an embedding. One
    that was not trained here has no `recipe`. `start` tells of weights from elsewhere; None: it began from nothing, or
    is a file of this package. `pretraining` tells what it learned from without labels; None: nothing.
    """

    module: nn.Module
    architecture: Architecture
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    output: Output = "softmax"
    recipe: Recipe | None = None
    start: Start | None = None
    pretraining: LearnedWithoutLabels | None = None
    source: str = "this model"  # as messages call it

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

        The probabilities of a model whose images may have several labels are each label's own, and do not add up to 1.
        Where `unreadable` is given, it is told of every image that cannot be read, and the others are answered; `done`
        is told how many files are behind.

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
            if some:
                rows += self._rows(some, self.logits(inputs), top)
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

    @torch.inference_mode()
    def logits(self, inputs: Tensor) -> np.ndarray:
        """Return the logits [B, num_classes] of images [B, 3, height, width], the model's input."""
        return self.module(inputs.to(device_of(self.module))).float().cpu().numpy()

    def probabilities(self, inputs: Tensor) -> np.ndarray:
        """Return the probabilities [B, num_classes], in float64, of images as `logits` takes them."""
        return probabilities(self.logits(inputs).astype(np.float64), self.output)

    def _rows(self, paths: Sequence[Path], logits: np.ndarray, top: int) -> list[dict[str, Any]]:
        if not np.isfinite(logits).all():
            raise UserError(f"{self.source} answers {paths[0]} and others beside it with NaN: its weights are damaged")
        values = probabilities(logits.astype(np.float64), self.output)
        best = np.argsort(-values, axis=1, kind="stable")[:, :top]
        return [
            {"path": str(path), "classes": [self.classes[i] for i in places], "probabilities": row[places].tolist()}
            for path, row, places in zip(paths, values, best, strict=True)
        ]

    def description(self) -> str:
        """Return what its files say of it beside its weights, as JSON: what `pretrained.header` reads."""
        facts = {
            "format_version": FORMAT_VERSION,
            "architecture": asdict(self.architecture),
            "classes": list(self.classes),
            "preprocessing": asdict(self.preprocessing),
            "output": self.output,
            "recipe": self.recipe.to_dict() if self.recipe else None,
            "pretraining": asdict(self.pretraining) if self.pretraining else None,
        }
        return json.dumps(facts)

    def save(self, path: Path) -> None:
        """Write the model file; a failure leaves the old one whole."""
        weights = {name: tensor.detach().cpu().contiguous() for name, tensor in self.module.state_dict().items()}
        replace_file(path, lambda beside: save_file(weights, beside, metadata={"vit": self.description()}))


def create_model(
    name: str,
    *,
    num_classes: int,
    image_size: int | tuple[int, int] = 224,
    pretrained: bool | str | Path | None = None,
    new_head: bool = False,
    **options: Any,
) -> nn.Module:
    """Build a module by name, with fresh weights or with pretrained ones.

    `pretrained` is True for the weights published under the name, or whatever `vit.load` takes. `new_head` gives leave
    to replace a head of other classes; which weights were taken, and which part is new, is logged.

    Images [B, 3, height, width] to logits [B, num_classes]. Raises UserError for an unknown name or option, for sizes
    that do not fit together, and for weights that do not fit the model.
    """
    size = (image_size, image_size) if isinstance(image_size, int) else (image_size[0], image_size[1])
    weights = sources.read_start(name, pretrained, options)
    module, _, start = assemble(name, options, num_classes, size, weights, new_head)
    if start is not None:
        logger.info(start.in_words())
    return module


def assemble(
    name: str,
    options: Mapping[str, Any],
    num_classes: int,
    image_size: tuple[int, int],
    weights: Weights | None,
    new_head: bool = False,
    classes: Sequence[str] | None = None,
) -> tuple[nn.Module, Architecture, Start | None]:
    """Return a module with the weights in it, or fresh where there are none; what it is; and what it begins with.

    The options of the architecture follow the weights; a new head drops the representation layer of the old one.
    """
    given = dict(options)
    if weights is None:
        architecture = Architecture(name, complete_options(name, given) if name in MODELS else given, num_classes)
        module = architecture.build(image_size)
        return module, architecture.settled_in(module), None
    complete = options_for(name, given, weights)
    if (new_head or not weights.num_classes) and "representation_size" in complete:
        complete["representation_size"] = given.get("representation_size", 0)
    module = built(weights, name, num_classes, image_size, complete)
    architecture = Architecture(name, complete, num_classes).settled_in(module)
    weights = weights.at(image_size, complete.get("patch_size", weights.options.get("patch_size", 0)))
    return module, architecture, load_into(module, weights, new_head, classes)


class NoInitialValues(TorchFunctionMode):
    """Draw no normal values: on the meta device that takes torch two seconds of imports, for nothing."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function in (Tensor.normal_, nn.init.normal_):
            return args[0] if args else kwargs["tensor"]
        return function(*args, **kwargs)


def load(model: str | Path, **user_options: Any) -> Model:
    """Return any MODEL ready to use: a run folder, a file or folder of weights, an exported file, a published name.

    `user_options` are options of the architecture that a bare file leaves open, `activation` or `num_heads`. The
    module is in eval mode; what was assumed of weights from elsewhere is logged. Raises UserError for what is not
    there, not whole, of no known family, or not to be fetched.
    """
    exported = exported_files.find(model)
    if exported is not None:
        return _of_exported(exported_files.read(exported))
    weights = sources.read(model, user_options)
    size = weights.preprocessing.image_size
    own = weights.architecture in MODELS  # timm's keep some tensors outside of their weights
    with ExitStack() as stack:
        if own:  # no initial values for what is replaced
            stack.enter_context(torch.device("meta"))
            stack.enter_context(NoInitialValues())
        module = built(weights, weights.architecture, weights.num_classes, size, weights.options)
    start = load_into(module, weights.at(size, weights.options.get("patch_size", 0)), new_head=False)
    if not own:
        check_answer(module.eval(), weights)
    if weights.recipe is None:
        logger.info(start.in_words())
    return Model(
        module=models.in_its_layout(module).eval(),
        architecture=Architecture(weights.architecture, weights.options, weights.num_classes),
        classes=weights.classes or (),
        preprocessing=weights.preprocessing,
        output=weights.output,
        recipe=None if weights.recipe is None else parse(dict(weights.recipe), where=str(model)),
        start=start if weights.recipe is None else None,
        pretraining=weights.pretraining,
        source=str(model),
    )


def _of_exported(file: ExportedFile) -> Model:
    """Return the model that an exported file is of; the file itself answers."""
    said = file.header
    return Model(
        module=file.module,
        architecture=Architecture(said.architecture.name, said.architecture.options, said.architecture.num_classes),
        classes=tuple(said.classes),
        preprocessing=file.module.preprocessing,
        output=said.output or "softmax",
        recipe=None if said.recipe is None else parse(said.recipe, where=str(file.path)),
        source=str(file.path),
    )


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
