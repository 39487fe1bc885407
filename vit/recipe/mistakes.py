"""What is wrong with a recipe, in words: a dotted path, the mistake, the nearest legal name."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from pydantic import ValidationError

from ..errors import nearest
from ..registry import DATASETS, MODELS, SUPPLIED, TRANSFORMS, timm_options
from ..registry.table import check_options, named_options, plain, shown
from .types import without_none


def schema_mistakes(cls: type, error: ValidationError) -> list[str]:
    """Return a line for everything that pydantic found in the sections of `cls`."""
    lines = [_describe(cls, e["type"], e["loc"], e["msg"], e["input"]) for e in error.errors()]
    return list(dict.fromkeys(lines))


def _describe(cls: type, kind: str, location: tuple[Any, ...], message: str, given: Any) -> str:
    path, owner = _path(cls, location)
    key = str(path[-1]) if path else ""
    dotted = ".".join(str(part) for part in path)
    if kind == "unexpected_keyword_argument":
        names = [f.name for f in fields(owner) if f.name != "options"]  # gathered from the keys beside `name`
        where = f"keys of {'.'.join(path[:-1])}" if path[:-1] else "sections"
        return f"{dotted} is not a recipe key{nearest(key, names)} ({where}: {', '.join(names)})"
    if kind in ("missing", "missing_argument"):
        return f"{dotted} is missing"
    if kind == "value_error":  # in our own words
        told = message.removeprefix("Value error, ")
        return f"{dotted}: {told}" if dotted else told  # of the recipe as a whole
    if kind == "dataclass_type":
        return f"{dotted} is a section; its keys stand below it" + f", given {shown(given)}"
    return f"{dotted}: {plain(message)}" + ("" if isinstance(given, dict) else f", given {shown(given)}")


def _path(cls: type, location: tuple[Any, ...]) -> tuple[list[str], type]:
    """Return the dotted path of an error and the section it lies in, without pydantic's names of union members."""
    path: list[str] = []
    section: Any = cls
    inside = True  # of a section; behind its keys, only a place in a list says more
    for part in location:
        if not inside and isinstance(part, str):
            break
        path.append(str(part))
        child: Any = without_none({f.name: f.type for f in fields(section)}.get(str(part))) if inside else None
        inside = is_dataclass(child)
        section = child if inside else section
    return path, section


def check_names(values: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return a recipe's plain values with the options in their functions' types, and what is wrong with the names."""
    checked = dict(values)
    mistakes = _dataset_mistakes(values.get("data"))
    model, steps = values.get("model"), values.get("augment")
    if isinstance(model, dict) and isinstance(model.get("name"), str):
        options, found = _check_model(model["name"], model["options"])
        checked["model"] = model | {"options": options}
        mistakes += found
    if isinstance(steps, list | tuple) and all(isinstance(step, str | dict) for step in steps):
        checked["augment"], found = _check_steps([named_options(step) for step in steps])
        mistakes += found
    return checked, mistakes


def _dataset_mistakes(data: Any) -> list[str]:
    name = data.get("name", "digits") if isinstance(data, dict) else "digits"
    if not isinstance(name, str) or name in DATASETS:  # what is no text is told of with its type
        return []
    return [f"data.name: there is no {name}{nearest(name, DATASETS)} ({', '.join(DATASETS)})"]


def _check_model(name: str, options: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    if name.startswith("timm/"):
        return options, timm_options.mistakes(name, options)
    if name not in MODELS:
        return options, [f"model.name: there is no {name}{nearest(name, MODELS)} (see `vit models`, or timm/<name>)"]
    return check_options("model", MODELS[name], name, options, SUPPLIED)


def _check_steps(steps: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[str]]:
    mistakes: list[str] = []
    for i, step in enumerate(steps):
        for name, options in step.items():
            if name not in TRANSFORMS:
                guess, allowed = nearest(name, TRANSFORMS), ", ".join(TRANSFORMS)
                mistakes.append(f"augment.{i}: there is no {name}{guess} ({allowed})")
            elif isinstance(options, dict):
                step[name], found = check_options(f"augment.{i}.{name}", TRANSFORMS[name], name, options)
                mistakes += found
    return steps, mistakes
