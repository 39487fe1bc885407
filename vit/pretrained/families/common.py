"""What all families share: a file as it was read, and how its facts become the weights of a Vision Transformer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...data.preprocessing import Preprocessing
from .. import describe
from ..class_names import names_of
from ..layouts import Tensors
from ..weights import Weights

HALF = (0.5, 0.5, 0.5)


@dataclass(frozen=True)
class WeightsFile:
    """A file of weights as it was read: tensors by their old names, and the configurations that lay beside it.

    `user_options` decide what a file leaves open.
    """

    source: str
    tensors: Tensors
    config: Mapping[str, Any] = field(default_factory=dict)  # config.json of transformers
    processor: Mapping[str, Any] = field(default_factory=dict)  # preprocessor_config.json of transformers
    open_clip: Mapping[str, Any] = field(default_factory=dict)  # open_clip_config.json
    user_options: Mapping[str, Any] = field(default_factory=dict)
    root: str | None = None  # under which the weights lay in a checkpoint

    def has(self, name: str) -> bool:
        return name in self.tensors


def vision_transformer(
    file: WeightsFile,
    family: str,
    tensors: Tensors,
    facts: Mapping[str, Any],
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
    usual: Mapping[str, Any],
    *,
    heads: int | None = None,
    resampling: Mapping[str, Any] | None = None,
    image_size: tuple[int, int] | None = None,
    classes: tuple[str, ...] | None = None,
    notes: tuple[str, ...] = (),
) -> Weights:
    """Put together what the names, the shapes, the family and the user say of a Vision Transformer's weights."""
    user_heads = file.user_options.get("num_heads")
    options, size = describe.vision_transformer(
        tensors, file.source, num_heads=user_heads or heads, image_size=image_size
    )
    if not (user_heads or heads):
        notes += (f"{options['num_heads']} heads, as is usual for a width of {options['embed_dim']}",)
    head = tensors.get("head.weight")
    count = 0 if head is None else len(head)
    return Weights(
        source=file.source,
        family=family,
        architecture="vit",
        options=options | dict(facts),
        tensors=tensors,
        preprocessing=Preprocessing(size, mean, std, **usual),
        num_classes=count,
        classes=classes if classes and len(classes) == count else names_of(count),
        resampling=resampling or {},
        notes=notes,
        grid=(size[0] // options["patch_size"], size[1] // options["patch_size"]),
    )


def both(size: Any) -> tuple[int, int] | None:
    return (size, size) if isinstance(size, int) else tuple(size) if size else None  # type: ignore[return-value]


def drop(tensors: Tensors, *names: str) -> tuple[str, ...]:
    """Remove what only pre-training used, and say so."""
    dropped = [name for name in names if tensors.pop(name, None) is not None]
    return ("parts that only pre-training used left aside",) if dropped else ()
