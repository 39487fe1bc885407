"""Recipes and comparisons as JSON Schema, draft 2020-12: what an editor completes, explains and checks.

A schema knows names, types and bounds; what keys demand of each other is told when a recipe is read. It is imported by
the tool that writes it, and by no verb. `if` and `additionalProperties` stand for `unevaluatedProperties`, which fewer
editors know.
"""

from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any

from ..registry import DATASETS, MODELS, REQUIRED, SUPPLIED, TRANSFORMS, Lazy, Table, timm_options
from .comparison import Comparison
from .documented import Key, Schema, keys_of, options_keys
from .sections import OF_ALL_OPTIMIZERS, OWN_OPTIMIZERS, TIMM, Data, Model, Optimizer, Recipe
from .types import without_none

DRAFT = "https://json-schema.org/draft/2020-12/schema"
ANY_OF_TIMM: Schema = {"type": "string", "pattern": f"^{TIMM}.", "description": "Any of timm, by its name there."}
PLAIN_VALUE: Schema = {"type": ["number", "boolean", "string", "array", "null"]}
OPEN = ("model", "optimizer")  # sections whose keys depend on a name


def recipe_schema() -> Schema:
    """Return the schema of a recipe."""
    keys = keys_of(Recipe)
    whole = closed({key.name: _described(key, section_schemas()[key.name]) for key in keys}, required=keys)
    return {"$schema": DRAFT, "title": "A recipe of vit", "description": _first_line(Recipe), **whole}


def comparison_schema() -> Schema:
    """Return the schema of a comparison."""
    keys = keys_of(Comparison)
    properties = {key.name: property_of(key) for key in keys}
    properties["overrides"] |= overrides_schema()
    whole = closed(properties, required=keys)
    return {"$schema": DRAFT, "title": "A comparison of vit", "description": _first_line(Comparison), **whole}


def section_schemas() -> dict[str, Schema]:
    """Return the schema of each section of a recipe, and of its list of transforms, by name."""
    special = {"data": _data, "augment": _augment, "model": _model, "optimizer": _optimizer}
    return {
        key: special[key]() if key in special else _section(without_none(section))
        for key, section in Recipe.__annotations__.items()
    }


def overrides_schema() -> Schema:
    """Return the schema of recipe keys that are changed for all recipes, dotted or in sections."""
    schemas = section_schemas()
    dotted = {
        f"{name}.{key}": value
        for name, section in schemas.items()
        for key, value in section.get("properties", {}).items()
    }
    sections = {name: schemas[name] if name == "augment" else _partial(name, schemas[name]) for name in schemas}
    further = {f"^({'|'.join(OPEN)})\\.": {}}
    return {"properties": sections | dotted, "patternProperties": further, "additionalProperties": False}


def closed(properties: Mapping[str, Any], required: list[Key] | None = None) -> Schema:
    """Return the schema of a section that has these keys and no others."""
    needed = [key.name for key in required or [] if key.default is REQUIRED]
    shape: Schema = {"type": "object", "properties": dict(properties), "additionalProperties": False}
    return shape | ({"required": needed} if needed else {})


def property_of(key: Key) -> Schema:
    """Return what an editor tells of a key: its type and bounds, default, unit and meaning."""
    default = {} if key.default is REQUIRED else {"default": key.default}
    return _described(key, key.schema) | default


def _described(key: Key, schema: Schema) -> Schema:
    unit = f"Unit: {key.unit}." if key.unit else ""
    told = " ".join(filter(None, (key.meaning, unit)))
    return ({"description": told} if told else {}) | schema


def _section(section: Any) -> Schema:
    assert is_dataclass(section) and isinstance(section, type)
    keys = keys_of(section)
    return closed({key.name: property_of(key) for key in keys}, required=keys)


def _partial(name: str, schema: Schema) -> Schema:
    """Return the schema of some of a section's keys; those below a name that may be another recipe's are free."""
    return {
        "type": "object",
        "properties": schema["properties"],
        **({} if name in OPEN else {"additionalProperties": False}),
    }


def _data() -> Schema:
    section = _section(Data)
    name = section["properties"]["name"]
    del name["type"]
    name["anyOf"] = _named(DATASETS)
    return section


def _augment() -> Schema:
    options = {
        name: {
            "description": _about(function),
            **closed({key.name: property_of(key) for key in options_keys(function)}),
            "type": ["object", "null"],
        }
        for name, function in TRANSFORMS.items()
    }
    alone = {"anyOf": _named(TRANSFORMS)}
    return {"type": "array", "items": {"anyOf": [alone, closed(options) | {"minProperties": 1, "maxProperties": 1}]}}


def _model() -> Schema:
    keys = keys_of(Model, leave_out={"options"})
    own = {key.name: property_of(key) for key in keys}
    own["name"] = _described(keys[0], {"anyOf": [*_named(MODELS), ANY_OF_TIMM]})
    ours = [_where({"const": name}, _with_options(own, options_keys(MODELS[name], SUPPLIED))) for name in MODELS]
    names = (*timm_options.ALLOWED, *timm_options.NESTED)
    words = {key: {"type": "object"} for key in timm_options.NESTED}
    theirs = closed(dict.fromkeys(own, True) | dict.fromkeys(names, PLAIN_VALUE) | words)
    return {
        "type": "object",
        "properties": own,
        "required": ["name"],
        "allOf": [*ours, _where({"pattern": f"^{TIMM}"}, theirs)],
    }


def _with_options(own: Schema, options: list[Key]) -> Schema:
    """Return a section with the options of the model that is named; its other keys are checked beside it."""
    return closed(dict.fromkeys(own, True) | {key.name: property_of(key) for key in options}, required=options)


def _where(name: Schema, then: Schema) -> Schema:
    return {"if": {"properties": {"name": name}, "required": ["name"]}, "then": then}


def _optimizer() -> Schema:
    keys = keys_of(Optimizer, leave_out={"options"})
    own = {key.name: property_of(key) for key in keys}
    own["name"] = _described(keys[0], {"anyOf": [{"const": name} for name in OWN_OPTIMIZERS] + [ANY_OF_TIMM]})
    own["name"]["default"] = Optimizer.name
    only_ours = {key: value for key, value in own.items() if key not in OF_ALL_OPTIMIZERS}
    named_elsewhere = {"properties": {"name": {"pattern": f"^{TIMM}"}}, "required": ["name"]}
    return {
        "type": "object",
        "properties": {key: own[key] for key in own if key in OF_ALL_OPTIMIZERS},
        "if": named_elsewhere,
        "else": closed(dict.fromkeys(own, True) | only_ours),
    }


def _named(table: Table) -> list[Schema]:
    return [{"const": name, "description": _about(function)} for name, function in table.items()]


def _about(function: Any) -> str:
    return function.about if isinstance(function, Lazy) else _first_line(function)


def _first_line(documented: Any) -> str:
    return (documented.__doc__ or "").split("\n")[0]
