"""What is to be told of every key of a section and every option of a named function, read from the code.

For the documents alone; a recipe is read without it.
"""

import ast
import inspect
from collections.abc import Callable, Collection
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from functools import cache
from typing import Annotated, Any, get_args, get_origin

from pydantic import TypeAdapter

from ..registry import REQUIRED
from ..registry.table import options_of
from .types import Unit, without_none

Schema = dict[str, Any]
# Of a bound that stands behind a validator pydantic tells its own name, which JSON Schema does not know.
BOUNDS = {"gt": "exclusiveMinimum", "ge": "minimum", "lt": "exclusiveMaximum", "le": "maximum"}


@dataclass(frozen=True)
class Key:
    """One key: the JSON Schema of its type, its default (`REQUIRED` where there is none), its unit and its meaning."""

    name: str
    schema: Schema
    default: Any
    unit: str = ""
    meaning: str = ""


def keys_of(section: type, leave_out: Collection[str] = ()) -> list[Key]:
    """Return the keys of a section in their order; a section's own keys are not among those of what holds it."""
    told = meanings(section)
    return [
        Key(f.name, _schema(kind), _default(f), unit_of(kind), told.get(f.name, _summary(kind)))
        for f in fields(section)
        for kind in [without_none(f.type)]
        if f.name not in leave_out
    ]


def options_keys(function: Callable[..., Any], supplied: Collection[str] = ()) -> list[Key]:
    """Return the options of a table's entry but for those that its caller supplies."""
    return [
        Key(name, _schema(option.annotation), option.default)
        for name, option in options_of(function).items()
        if name not in supplied
    ]


@cache
def meanings(section: type) -> dict[str, str]:
    """Return the text below each key in a section's source: Python keeps none at run time."""
    (node,) = ast.parse(inspect.getsource(section)).body
    assert isinstance(node, ast.ClassDef)
    return {
        key.target.id: " ".join(below.value.value.split())
        for key, below in zip(node.body, node.body[1:], strict=False)
        if isinstance(key, ast.AnnAssign) and isinstance(key.target, ast.Name)
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) and isinstance(below.value.value, str)
    }


def unit_of(annotation: Any) -> str:
    """Return the unit that a type carries, or an alternative or an item of it; else nothing."""
    if get_origin(annotation) is Annotated:
        for mark in annotation.__metadata__:
            if isinstance(mark, Unit):
                return mark.name
    return next(filter(None, map(unit_of, get_args(annotation))), "")


def _schema(annotation: Any) -> Schema:
    return {} if is_dataclass(annotation) else _standard(TypeAdapter(annotation).json_schema())


def _standard(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_standard(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {BOUNDS.get(key, key): _standard(value) for key, value in schema.items()}


def _default(key: Field) -> Any:
    if key.default_factory is not MISSING:
        return key.default_factory()
    return REQUIRED if key.default is MISSING else key.default


def _summary(annotation: Any) -> str:
    return (annotation.__doc__ or "").split("\n")[0] if is_dataclass(annotation) else ""
