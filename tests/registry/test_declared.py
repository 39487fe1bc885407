"""The types that recipes are checked against are those that the functions themselves have."""

from importlib import import_module
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from pydantic import TypeAdapter

from vit.registry import DATASETS, MODELS, TRANSFORMS, Lazy, declared
from vit.registry.table import options_of

ENTRIES = {name: entry for table in (MODELS, DATASETS, TRANSFORMS) for name, entry in table.items()}
HEAD = "from typing import Annotated, Literal\nfrom pydantic import Field\n"


@pytest.mark.parametrize("name", ENTRIES)
def test_every_option_has_the_type_that_its_function_declares(name: str) -> None:
    entry = ENTRIES[name]
    assert isinstance(entry, Lazy)
    function = getattr(import_module(f"vit.{entry.module}"), entry.name)
    hints = get_type_hints(function.__init__ if isinstance(function, type) else function, include_extras=True)
    for option, declaration in options_of(entry).items():
        assert declaration.annotation is not Any, option
        assert shape(declaration.annotation) == shape(hints[option]), option


def shape(annotation: Any) -> dict[str, Any]:
    """Return what a type takes, bounds included."""
    return TypeAdapter(annotation).json_schema()


def written(folder: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str]) -> dict[str, declared.Option]:
    """Return the options of `build` in the file `mine.py`."""
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    monkeypatch.setattr(declared, "PACKAGE", folder)
    for kept in (declared.keyword_arguments, declared._parsed):
        kept.cache_clear()
    try:
        return declared.keyword_arguments("mine", "build")
    finally:
        for kept in (declared.keyword_arguments, declared._parsed):
            kept.cache_clear()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("pool: PoolNmae", "vit.mine:build, pool: there is no type PoolNmae"),
        ("norm: nn.Module", "vit.mine:build, norm: the type nn.Module is not read from source"),
        ("depth=3", "vit.mine:build, depth: the type that is missing is not read from source"),
        ("depth: list[Count]", r"vit.mine:build, depth: the type list\[Count\] is not read from source"),
    ],
)
def test_a_type_that_cannot_be_read_is_named(
    arguments: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(TypeError, match=told):
        written(tmp_path, monkeypatch, {"mine": f"{HEAD}\ndef build(*, {arguments}): ...\n"})


def test_a_type_may_come_from_another_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = f"{HEAD}Count = Annotated[int, Field(ge=0)]\nCounts = tuple[Count, ...] | None\n"
    mine = "from .other import Counts as Depths\n\ndef build(*, depths: Depths = None): ...\n"
    (option,) = written(tmp_path, monkeypatch, {"mine": mine, "other": other}).values()
    assert TypeAdapter(option.annotation).validate_python([1, 2]) == (1, 2)
    with pytest.raises(ValueError, match="greater than or equal to 0"):
        TypeAdapter(option.annotation).validate_python([-1])
