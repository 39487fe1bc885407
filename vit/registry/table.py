"""Tables of named functions whose code is imported when it is called, and whose options are known before.

A recipe is checked against these options without importing torch: a `Lazy` entry reads them from the source.
"""

import inspect
from collections.abc import Callable, Collection, Iterator
from functools import cached_property
from importlib import import_module
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from ..errors import nearest
from .declared import REQUIRED, Option, keyword_arguments

MOST_SHOWN, MOST_OF_A_FILE = 100, 60  # characters of what was given: by its reader, or by a file


class Lazy:
    """A function or class of this package, `module:name`, imported at its first call; `preset` binds keywords."""

    def __init__(self, target: str, about: str, **preset: Any):
        self.module, self.name = target.split(":")
        self.about = about
        self.preset = preset

    def __call__(self, *args: Any, **options: Any) -> Any:
        function = getattr(import_module(f"vit.{self.module}"), self.name)
        return function(*args, **self.preset | options)

    @cached_property
    def options(self) -> dict[str, Option]:
        declared = keyword_arguments(self.module, self.name)
        return {n: Option(o.annotation, self.preset.get(n, o.default)) for n, o in declared.items()}


Table = dict[str, Callable[..., Any]]


def options_of(function: Callable[..., Any]) -> dict[str, Option]:
    """Return the keyword-only arguments of a table's entry."""
    if isinstance(function, Lazy):
        return function.options
    return {
        name: Option(
            Any if parameter.annotation is parameter.empty else parameter.annotation,
            REQUIRED if parameter.default is parameter.empty else parameter.default,
        )
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }


def check_options(
    path: str, function: Callable[..., Any], owner: str, given: dict[str, Any], supplied: Collection[str] = ()
) -> tuple[dict[str, Any], list[str]]:
    """Return the options in the types that `function` takes, and a line for each it does not take, lacks or cannot use.

    `owner` names the function in the message; `supplied` are the options that the caller gives itself.
    """
    options = {name: option for name, option in options_of(function).items() if name not in supplied}
    converted: dict[str, Any] = {}
    mistakes: list[str] = []
    for name, value in given.items():
        if name not in options:
            allowed = ", ".join(options) or "none"
            mistakes.append(
                f"{path}.{name} is not an option of {owner}{nearest(name, options)} (its options: {allowed})"
            )
            continue
        try:
            converted[name] = _in_type(options[name].annotation, value)
        except ValidationError as error:
            mistakes.append(f"{path}.{name}: {plain(error.errors()[0]['msg'])}, given {shown(value)}")
        except ValueError as error:
            mistakes.append(f"{path}.{name}: {error}")
    missing = [name for name, option in options.items() if option.default is REQUIRED and name not in given]
    return converted, mistakes + [f"{path}.{name} is missing: {owner} needs it" for name in missing]


def _in_type(annotation: Any, value: Any) -> Any:
    """Return a value as `annotation` has it: finite, and a number only from a number."""
    converted = TypeAdapter(annotation, config=ConfigDict(allow_inf_nan=False)).validate_python(value)
    if not isinstance(converted, bool):
        no_flag(value)
    return converted


def no_flag(value: Any) -> Any:
    """Return a value that is neither yes nor no, which pydantic would take for 1 or 0."""
    if isinstance(value, bool):
        raise ValueError(f"should be a number, given {value}")
    return value


def shown(value: Any) -> str:
    """Return a value as a message quotes it, which need not be all of it."""
    text = repr(value)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."


def plain(message: str) -> str:
    """Return pydantic's message as a part of a sentence: "should be a valid integer"."""
    message = message.removeprefix("Value error, ").removeprefix("Input ").split(", unable to")[0]
    return message.replace("valid tuple", "list").lower()


def lines_of(error: ValidationError) -> Iterator[str]:
    """Yield what pydantic found in a file, a line each: where, what, and what was given."""
    for found in error.errors(include_url=False, include_context=False):
        place = ".".join(map(str, found["loc"]))
        given = (
            "" if found["type"] in ("missing", "extra_forbidden") else f", given {found['input']!r:.{MOST_OF_A_FILE}}"
        )
        told = "is no key of it" if found["type"] == "extra_forbidden" else plain(found["msg"])
        yield f"{place}: {told}{given}"


def named_options(entry: Any) -> Any:
    """Turn the short forms `flip` and `{flip: null}` into `{flip: {}}`: a name with its options."""
    if isinstance(entry, str):
        return {entry: {}}
    if isinstance(entry, dict):
        return {name: {} if options is None else options for name, options in entry.items()}
    raise ValueError(f"should be a name, or a name with its options, given {shown(entry)}")
