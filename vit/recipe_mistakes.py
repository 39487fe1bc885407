"""What is wrong with a recipe, in words: a dotted path, the mistake, the nearest legal name."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, NamedTuple

from pydantic import ValidationError

from .errors import nearest
from .table import Table, named_options, option_errors, plain

SUPPLIED_TO_MODELS = {"num_classes", "image_size"}  # by the data, not by the recipe's `model` section


class Tables(NamedTuple):
    """The names that a recipe may use, each with a function whose keywords are the recipe's options."""

    models: Table
    datasets: Table
    transforms: Table


def schema_mistakes(cls: type, error: ValidationError) -> list[str]:
    """Return a line for everything that pydantic found in the sections of `cls`."""
    lines = [_describe(cls, e["type"], e["loc"], e["msg"], e["input"]) for e in error.errors()]
    return list(dict.fromkeys(lines))


def _describe(cls: type, kind: str, location: tuple[Any, ...], message: str, given: Any) -> str:
    path, owner = _path(cls, location)
    key = str(path[-1]) if path else ""
    dotted = ".".join(str(part) for part in path)
    if kind == "unexpected_keyword_argument":
        names = [f.name for f in fields(owner)]
        where = f"keys of {'.'.join(path[:-1])}" if path[:-1] else "sections"
        return (
            f"{dotted} is not a recipe key{nearest(key, names)} ({where}: {', '.join(f.name for f in fields(owner))})"
        )
    if kind in ("missing", "missing_argument"):
        return f"{dotted} is missing"
    message = plain(message)
    return f"{dotted}: {message}" + ("" if isinstance(given, dict) or kind == "value_error" else f", given {given!r}")


def _path(cls: type, location: tuple[Any, ...]) -> tuple[list[str], type]:
    """Return the dotted path of an error and the section it lies in, without pydantic's names of union members."""
    path: list[str] = []
    section: Any = cls
    inside = True  # of a section; behind its keys, only a place in a list says more
    for part in location:
        if not inside and isinstance(part, str):
            break
        path.append(str(part))
        child: Any = {f.name: f.type for f in fields(section)}.get(str(part)) if inside else None
        inside = is_dataclass(child)
        section = child if inside else section
    return path, section


def table_mistakes(values: Mapping[str, Any], tables: Tables) -> list[str]:
    mistakes: list[str] = []
    data = values.get("data")
    name = data.get("name", "digits") if isinstance(data, dict) else "digits"
    if name not in tables.datasets:
        allowed = ", ".join(tables.datasets)
        mistakes.append(f"data.name: there is no {name}{nearest(str(name), tables.datasets)} ({allowed})")
    model = values.get("model")
    if isinstance(model, dict) and isinstance(model.get("name"), str) and not model["name"].startswith("timm/"):
        name = model["name"]
        if name not in tables.models:
            guess = nearest(name, tables.models)
            mistakes.append(f"model.name: there is no {name}{guess} (see `vit models`, or timm/<name>)")
        else:
            mistakes += option_errors(
                "model", tables.models[name], name, model["options"], {"num_classes", "image_size"}
            )
    steps = values.get("augment")
    for i, step in enumerate(steps if isinstance(steps, list | tuple) else []):
        if not isinstance(step, str | dict):
            continue
        for name, options in named_options(step).items():
            if name not in tables.transforms:
                allowed = ", ".join(tables.transforms)
                mistakes.append(f"augment.{i}: there is no {name}{nearest(name, tables.transforms)} ({allowed})")
            else:
                mistakes += option_errors(f"augment.{i}.{name}", tables.transforms[name], name, options, set())
    return mistakes
