"""The configurations that other libraries keep beside their weights: of each, what is taken, in its type.

They may come from strangers: what is not named here (addresses, files, classes to import) is not looked at.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, StrictInt, ValidationError

from ..registry.table import lines_of
from .header import Count, Deviation, Mean, Positive, Size, distinct, refuse

UNSET: Any = None  # is not there
ModulePath = Annotated[str, Field(pattern=r"^[\w.]{1,80}$")]


class Configuration(BaseModel):
    model_config = ConfigDict(extra="ignore", protected_namespaces=())


class OfTransformers(Configuration):
    """What is taken from a config.json of transformers."""

    model_type: str = UNSET
    hidden_act: str = UNSET
    layer_norm_eps: Positive = UNSET
    num_attention_heads: Count = UNSET
    image_size: Count | Size = UNSET
    id2label: dict[Annotated[int, Field(ge=0)], Any] = UNSET


class OfTimm(Configuration):
    """What is taken from a config.json of timm; `pretrained_cfg` may lie flat in older ones."""

    architecture: str = UNSET
    model_args: dict[str, Any] = UNSET
    input_size: tuple[Literal[3], Count, Count] = UNSET
    fixed_input_size: StrictBool = UNSET
    mean: tuple[Mean, Mean, Mean] = UNSET
    std: tuple[Deviation, Deviation, Deviation] = UNSET
    interpolation: str = UNSET
    crop_pct: Positive = UNSET
    crop_mode: str = UNSET
    num_classes: Annotated[StrictInt, Field(ge=0, lt=2**31)] = UNSET
    label_names: Annotated[list[Any], AfterValidator(distinct)] = UNSET
    first_conv: ModulePath | list[ModulePath] = UNSET
    classifier: ModulePath | list[ModulePath] = UNSET


Sides = Count | dict[str, Count | None]


class OfProcessor(Configuration):
    """What is taken from a preprocessor_config.json of transformers."""

    rescale_factor: Positive = UNSET
    do_normalize: StrictBool | None = UNSET
    do_center_crop: StrictBool | None = UNSET
    image_mean: tuple[Mean, Mean, Mean] = UNSET
    image_std: tuple[Deviation, Deviation, Deviation] = UNSET
    resample: StrictInt = UNSET
    size: Sides = UNSET
    crop_size: Sides | None = UNSET


class ClipPreprocessing(Configuration):
    mean: tuple[Mean, Mean, Mean] = UNSET
    std: tuple[Deviation, Deviation, Deviation] = UNSET
    interpolation: str = UNSET
    resize_mode: str = UNSET


class ClipModel(Configuration):
    quick_gelu: StrictBool = UNSET
    vision_cfg: dict[str, Any] = UNSET


class OfOpenClip(Configuration):
    """What is taken from an open_clip_config.json."""

    preprocess_cfg: ClipPreprocessing = UNSET
    model_cfg: ClipModel = UNSET


def checked(raw: Mapping[str, Mapping[str, Any]], source: str) -> dict[str, dict[str, Any]]:
    """Return what is taken of every configuration beside a file, by file name.

    Raises UserError, naming file and key, for what is of another type than its library writes.
    """
    taken = {}
    for name, values in raw.items():
        kind: type[Configuration] = OTHERS.get(name, OfTimm if "architecture" in values else OfTransformers)
        flat = _flat(values) if kind is OfTimm else values
        there = {key: value for key, value in flat.items() if value is not None or key.startswith("do_")}
        try:
            taken[name] = kind.model_validate(there).model_dump(exclude_unset=True)
        except ValidationError as error:
            refuse(f"{name} beside {source}", list(lines_of(error)))
    return taken


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config.json of timm on one level, as timm reads it: what lies above goes before `pretrained_cfg`."""
    inner = values.get("pretrained_cfg")
    flat = {**(inner if isinstance(inner, Mapping) else {}), **values}
    return {"label_names": flat["labels"], **flat} if "labels" in flat else flat


OTHERS: dict[str, type[Configuration]] = {
    "preprocessor_config.json": OfProcessor,
    "open_clip_config.json": OfOpenClip,
}
