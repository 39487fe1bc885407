"""Settings as plain values: read from YAML and from KEY=VALUE, changed by dotted keys, laid flat."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from .errors import UserError


def parse_overrides(arguments: list[str]) -> dict[str, Any]:
    """Turn `schedule.epochs=3` arguments into a mapping; values are read as YAML."""
    wrong = [argument for argument in arguments if "=" not in argument]
    if wrong:
        raise UserError(f"not understood: {', '.join(wrong)}; an override is KEY=VALUE, for example schedule.epochs=3")
    pairs = (argument.split("=", 1) for argument in arguments)
    return {key: _yaml_value(key, text) for key, text in pairs}


def read_yaml(path: Path) -> dict[str, Any]:
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeys)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not readable as YAML: {error}") from error
    if not isinstance(values, dict):
        raise UserError(f"{path} holds no sections; a recipe begins with `data:`")
    return values


class _UniqueKeys(yaml.SafeLoader):
    """PyYAML keeps the last of two equal keys without a word; here the second is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"given twice: {', '.join(twice)}", node.start_mark)
        return super().construct_mapping(node, deep)


def _yaml_value(key: str, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"{key}: {text!r} is not a YAML value") from error


def changed(values: dict[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested sections with some of their dotted keys set; the sections given stay as they are."""
    for key, value in overrides.items():
        *parents, leaf = key.split(".")
        inner = values = dict(values)
        for parent in parents:
            child = inner.get(parent)
            inner[parent] = dict(child) if isinstance(child, dict) else {}
            inner = inner[parent]
        inner[leaf] = value
    return values


def flattened(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested sections as one level of dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            flat |= flattened(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
