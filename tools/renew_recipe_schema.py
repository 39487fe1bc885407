"""Renew what tells of a recipe's keys: recipes/schema/*.json for editors, and docs/recipes.md.

    uv run tools/renew_recipe_schema.py

Both are read from the sections, the tables of names and their functions; the words around the page's tables stand.
"""

import inspect
import json
from collections.abc import Iterator
from importlib import import_module
from itertools import groupby
from pathlib import Path
from textwrap import fill
from typing import Any

from pages import DOCS, renewed

from vit.files import write_text
from vit.recipe import Comparison, Recipe
from vit.recipe.documented import Key, Schema, keys_of, options_keys
from vit.recipe.schema import comparison_schema, recipe_schema
from vit.recipe.types import without_none
from vit.registry import DATASETS, MODELS, PUBLISHED, REQUIRED, SUPPLIED, TRANSFORMS, Lazy, Table, timm_options

SCHEMAS = Path(__file__).parent.parent / "recipes" / "schema"
PAGE = DOCS / "recipes.md"
COMPARED = {"exclusiveMinimum": "> ", "minimum": "≥ ", "exclusiveMaximum": "< ", "maximum": "≤ "}
TYPES = {"string": "text", "boolean": "true or false", "object": "section", "null": "null"}


def main() -> None:
    for path, text in files().items():
        path.parent.mkdir(exist_ok=True)
        write_text(path, text)


def files() -> dict[Path, str]:
    """Return every file that is written, with its text as the code has it now."""
    schemas = {"recipe": recipe_schema(), "comparison": comparison_schema()}
    written = {SCHEMAS / f"{name}.schema.json": f"{json.dumps(schema, indent=1)}\n" for name, schema in schemas.items()}
    return written | {PAGE: page(PAGE.read_text(encoding="utf-8"))}


def page(text: str) -> str:
    tables = {"sections": "\n\n".join(sections()), "comparison": table_of(keys_of(Comparison))}
    tables |= {"models": "\n\n".join(models()), "transforms": transforms(), "datasets": datasets()}
    names = ", ".join(f"`{name}`" for name in (*timm_options.ALLOWED, *timm_options.NESTED))
    tables |= {"timm": fill(f"{names}.", width=120)}
    for mark, table in tables.items():
        text = renewed(text, mark, table)
    return text


def sections() -> Iterator[str]:
    for key in keys_of(Recipe):
        if key.schema:  # no section: a list of transforms
            yield f"### {key.name}\n\n{table_of([key])}\n\nThe transforms are listed [below](#transforms)."
        else:
            keys = keys_of(without_none(Recipe.__annotations__[key.name]), leave_out={"options"})
            yield f"### {key.name}\n\n{key.meaning}\n\n{table_of(keys)}"


def table_of(keys: list[Key]) -> str:
    lines = ["| key | type | default | unit | meaning |", "|---|---|---|---|---|"]
    lines += [row(f"`{k.name}`", in_words(k.schema), default(k), k.unit, k.meaning) for k in keys]
    return "\n".join(lines)


def models() -> Iterator[str]:
    """Yield a text for each function behind the models: its names with what they preset, and its options."""
    for function, group in groupby(of_this_package(MODELS).items(), key=lambda entry: target(entry[1])):
        entries = dict(group)
        lines = ["| name | what it is | presets | published weights |", "|---|---|---|---|"]
        lines += [row(f"`{n}`", e.about, presets(e), PUBLISHED.get(n, "")) for n, e in entries.items()]
        whole = next(iter(entries.values()))
        yield f"### {function.__name__}\n\n{inspect.getdoc(function)}"
        yield "\n".join(lines)
        yield options_table([("", options_keys(whole, SUPPLIED))])


def transforms() -> str:
    lines = ["| name | what it does |", "|---|---|"]
    lines += [
        row(f"`{n}`", f"{e.about}. {one_line(target(e).__doc__)}".strip())
        for n, e in of_this_package(TRANSFORMS).items()
    ]
    return "\n".join(lines) + "\n\n" + options_table([(f"`{n}`", options_keys(e)) for n, e in TRANSFORMS.items()])


def datasets() -> str:
    lines = ["| name | what it is |", "|---|---|"]
    return "\n".join(lines + [row(f"`{name}`", entry.about) for name, entry in of_this_package(DATASETS).items()])


def options_table(owners: list[tuple[str, list[Key]]]) -> str:
    """Return a table of options; the first column names their owner where there are several."""
    several = len(owners) > 1
    lines = ["| of | option | type | default |", "|---|---|---|---|"] if several else []
    lines = lines or ["| option | type | default |", "|---|---|---|"]
    for owner, keys in owners:
        lines += [row(*[owner][: int(several)], f"`{k.name}`", in_words(k.schema), default(k)) for k in keys]
    return "\n".join(lines)


def of_this_package(table: Table) -> dict[str, Lazy]:
    return {name: entry for name, entry in table.items() if isinstance(entry, Lazy)}


def target(entry: Lazy) -> Any:
    return getattr(import_module(f"vit.{entry.module}"), entry.name)


def presets(entry: Lazy) -> str:
    return ", ".join(f"`{name}` {plain(value)}" for name, value in entry.preset.items())


def default(key: Key) -> str:
    return "required" if key.default is REQUIRED else f"`{plain(key.default)}`"


def plain(value: Any) -> str:
    return json.dumps(value).strip('"')


def one_line(text: str | None) -> str:
    return " ".join((text or "").split())


def row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def in_words(schema: Schema) -> str:
    """Return a type with its bounds as a reader of YAML knows it."""
    if "anyOf" in schema:
        return " or ".join(map(in_words, schema["anyOf"]))
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if schema.get("type") == "array":
        return list_in_words(schema)
    given: str = schema.get("type", "object")
    kind = TYPES.get(given, given)
    bounds = ", ".join(f"{sign}{schema[bound]:,}" for bound, sign in COMPARED.items() if bound in schema)
    return f"{kind} ({bounds})" if bounds else kind


def list_in_words(schema: Schema) -> str:
    items = schema.get("prefixItems")
    if items:
        return f"list of {len(items)}: {in_words(items[0])}"
    return f"list: {in_words(schema.get('items', {}))}"


if __name__ == "__main__":
    main()
