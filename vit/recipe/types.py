"""What settings are made of: sections, and kinds of values with their bounds and the unit that they count."""

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from typing import Annotated, Any, TypeVar, dataclass_transform, get_args

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic.dataclasses import dataclass as checked_dataclass

from ..registry.table import named_options, no_flag

S = TypeVar("S")


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(field,))
def section(cls: type[S]) -> type[S]:
    """Make a class a part of the recipe: frozen, checked, and closed to unknown keys."""
    config = ConfigDict(extra="forbid", allow_inf_nan=False)
    make: Callable[..., Any] = checked_dataclass(frozen=True, kw_only=True, config=config)
    return make(cls)


def names_of(cls: type) -> set[str]:
    """Return the keys of a section."""
    return {f.name for f in fields(cls)}


def without_none(annotation: Any) -> Any:
    """Return a section's class of an annotation that allows null too."""
    kinds = [kind for kind in get_args(annotation) if isinstance(kind, type) and is_dataclass(kind)]
    return kinds[0] if kinds else annotation


def plain(settings: Any) -> dict[str, Any]:
    """Return a section as the plain values that its YAML holds, every default written out."""
    return {key: _listed(value) for key, value in asdict(settings).items()}


def _listed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _listed(item) for key, item in value.items()}
    return [_listed(item) for item in value] if isinstance(value, list | tuple) else value


@dataclass(frozen=True)
class Unit:
    """What a number counts; stands in a type's annotation, and is read for the documents alone."""

    name: str


def _not_empty(text: str) -> str:
    if not text:
        raise ValueError("is empty")
    return text


DURATION = re.compile(r"(?:(?P<h>\d+(?:\.\d+)?)h)?(?:(?P<m>\d+(?:\.\d+)?)m)?(?:(?P<s>\d+(?:\.\d+)?)s)?")
UNIT_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0}


def seconds_of(duration: str) -> float:
    """Return 5400 for 1h30m; raises ValueError for what is no duration above 0."""
    found = DURATION.fullmatch(duration.strip())
    seconds = sum(float(count) * UNIT_SECONDS[unit] for unit, count in found.groupdict("0").items()) if found else 0.0
    if seconds <= 0:
        told = duration.encode(errors="backslashreplace").decode()
        raise ValueError(f"{told} is no time; allowed: hours, minutes and seconds, as 1h, 20m, 90s or 1h30m")
    return seconds


def _duration(text: str) -> str:
    seconds_of(text)
    return text


def _both_sides(value: Any) -> Any:
    return (value, value) if isinstance(value, int) else value


# Not pydantic's min_length, which refuses a file name that is no UTF-8.
Text = Annotated[str, AfterValidator(_not_empty), WithJsonSchema({"type": "string", "minLength": 1})]

Duration = Annotated[str, AfterValidator(_duration)]
Real = Annotated[float, BeforeValidator(no_flag)]  # finite, as all numbers of a recipe
Positive = Annotated[Real, Field(gt=0)]
NotNegative = Annotated[Real, Field(ge=0)]
Fraction = Annotated[Real, Field(gt=0, le=1)]
PartialFraction = Annotated[Real, Field(ge=0, lt=1)]
Share = Annotated[Real, Field(gt=0, lt=1)]
Probability = Annotated[Real, Field(ge=0, le=1)]
BetaParameter = Annotated[Real, Field(ge=0, le=1_000)]
Seconds = Annotated[NotNegative, Unit("seconds")]
PartialEpochs = Annotated[NotNegative, Unit("epochs")]

Whole = Annotated[int, BeforeValidator(no_flag)]
Count = Annotated[Whole, Field(gt=0, le=1_000_000)]
CountOrNone = Annotated[Whole, Field(ge=0, le=1_000_000)]
Epochs = Annotated[Count, Unit("epochs")]
EpochsOrNone = Annotated[CountOrNone, Unit("epochs")]
Images = Annotated[Count, Unit("images")]
Processes = Annotated[Count, Unit("processes")]
Folds = Annotated[Whole, Field(ge=2, le=100)]
FoldNumber = Annotated[Whole, Field(ge=0, lt=100)]
Workers = Annotated[Whole, Field(ge=0, le=1_024), Unit("processes")]
Trainings = Annotated[Count, Unit("trainings")]
Seed = Annotated[Whole, Field(ge=0, lt=2**32)]  # what NumPy's and Lightning's generators take
Side = Annotated[Whole, Field(gt=0, le=16_384), Unit("pixels")]

Channels = tuple[Real, Real, Real]
PositiveChannels = tuple[Positive, Positive, Positive]
Size = Annotated[tuple[Side, Side], BeforeValidator(_both_sides, json_schema_input_type=Side | tuple[Side, Side])]
Step = Annotated[
    dict[str, dict[str, Any]],
    BeforeValidator(named_options, json_schema_input_type=str | dict[str, Any]),
    Field(min_length=1, max_length=1),
]
