"""The header of a model file: it may come from strangers, and is checked whole before anything is built.

Types, counts, distinct classes, as many of them as outputs, an image that can be made, sizes that the tensors bear out.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictInt, ValidationError
from torch import Tensor

from ..data.preprocessing import Preprocessing
from ..errors import UserError, listed
from ..probabilities import Output
from ..registry import MODELS, SUPPLIED, timm_options
from ..registry.table import check_options, lines_of

# Of the model file; since 2 its architecture's options are complete, since 3 it says its output, since 4 what it
# learned without labels.
FORMAT_VERSION = 4
MOST_PIXELS = 2**26  # of an image as the model takes it, and as it is resized before its crop
USUAL_SIZE = 1_024  # of timm's options that no tensor shows: pixels of windows and images, and the like


def distinct(names: list[Any]) -> list[str]:
    if not all(isinstance(name, str) for name in names):
        raise ValueError("should be names")
    if len(set(names)) < len(names):
        raise ValueError(f"should be distinct, but {next(n for n in names if names.count(n) > 1)!r} is there twice")
    return names


Mean = Annotated[float, Field(strict=True, ge=-1e6, le=1e6)]  # computed with in fp32
Deviation = Annotated[float, Field(strict=True, ge=1e-6, le=1e6)]
Positive = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
Count = Annotated[StrictInt, Field(gt=0, lt=2**31)]
Size = tuple[Count, Count]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PreprocessingPart(Part):
    image_size: Size
    mean: tuple[Mean, Mean, Mean]
    std: tuple[Deviation, Deviation, Deviation]
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos"] = "bicubic"
    crop_fraction: Annotated[Positive, Field(le=4)] = 1.0  # above 1 a processor of transformers pads
    crop_mode: Literal["center", "squash"] = "center"


class ArchitecturePart(Part):
    name: str
    options: dict[str, Any]
    num_classes: Annotated[StrictInt, Field(ge=0, lt=2**31)]  # 0: features


class PretrainingPart(Part):
    method: str
    images: Count
    epochs: Count
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    images_digest: str


class Header(Part):
    """The header of a model file, formats 1 to 4."""

    format_version: Annotated[StrictInt, Field(ge=1)]
    architecture: ArchitecturePart
    classes: Annotated[list[Any], AfterValidator(distinct)]
    preprocessing: PreprocessingPart
    output: Output | None = None  # of formats 1 and 2
    recipe: dict[str, Any] | None  # None: it was not trained here
    pretraining: PretrainingPart | None = None  # None: it learned labels, or nothing


def read(text: str, path: object) -> Header:
    """Return the header of a model file; raises UserError, naming all that is wrong, for one that is not ours."""
    try:
        values = json.loads(text)
        version = values.get("format_version")
    except (ValueError, RecursionError, AttributeError) as error:
        raise UserError(f"{path} says that it is of vit, but its header does not read as ours: {error}") from error
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise UserError(f"{path} is of format {version!r:.60}; this vit reads {FORMAT_VERSION}: update it")
    try:
        header = Header.model_validate(values)
    except ValidationError as error:
        refuse(path, list(lines_of(error)))
        raise
    architecture = header.architecture
    options, mistakes = check_architecture(architecture.name, architecture.options)
    if header.classes and len(header.classes) != architecture.num_classes:
        mistakes.append(f"classes: {len(header.classes)} names for {architecture.num_classes} outputs")
    if header.output is None and header.format_version >= 3:
        mistakes.append("output: is missing")
    refuse(path, mistakes)
    return header.model_copy(update={"architecture": architecture.model_copy(update={"options": options})})


def check_architecture(name: str, options: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return a header's options in the types that the model takes, and what is wrong with them."""
    given = {key: tuple(value) if isinstance(value, list) else value for key, value in options.items()}
    if name.startswith("timm/"):
        return given, timm_options.mistakes(name, given, "architecture.options")
    if name not in MODELS:
        return given, [f"architecture.name: there is no model {name:.60}"]
    return check_options("architecture.options", MODELS[name], name, given, SUPPLIED)


def check_preprocessing(preprocessing: Preprocessing, source: str) -> None:
    """Raise UserError for a preprocessing that no image could go through, or that would fill the memory."""
    try:
        PreprocessingPart.model_validate(vars(preprocessing))
    except ValidationError as error:
        refuse(source, [f"preprocessing.{line}" for line in lines_of(error)])
    height, width = preprocessing.image_size
    resized = height * width / min(1.0, preprocessing.crop_fraction) ** 2
    if resized > MOST_PIXELS:
        refuse(source, [f"preprocessing: images of {resized:.3g} pixels, where {MOST_PIXELS:,} are the most"])


def check_sizes(options: Mapping[str, Any], tensors: Mapping[str, Tensor], source: str, usual: int = 0) -> None:
    """Raise UserError for options that ask for more than the tensors hold, before anything is built of them.

    No width, side or number of parts is above the longest side of a tensor, or above `usual`; and there are no more
    blocks than tensors.
    """
    longest = max([usual, *(side for tensor in tensors.values() for side in tensor.shape)])
    wrong = [f"{key}: {value!r:.60}" for key, value in options.items() if max(_numbers(value), default=0) > longest]
    blocks = sum(sum(_numbers(options.get(key))) for key in ("depth", "depths", "layers"))
    if blocks > len(tensors):
        wrong.append(f"{blocks!s:.20} blocks of {len(tensors)} tensors")
    if wrong:
        raise UserError(
            f"{source} asks for a larger model than its tensors are of ({'; '.join(wrong)}): fetch it again, "
            "from where you trust it"
        )


def _numbers(value: Any) -> Iterator[float]:
    if isinstance(value, list | tuple):
        for item in value:
            yield from _numbers(item)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield abs(value)


def refuse(source: object, lines: list[str]) -> None:
    if lines:
        many = "1 mistake" if len(lines) == 1 else f"{len(lines)} mistakes"
        raise UserError("\n".join([f"{source} describes no model that can be built: {many}", *listed(lines)]))
