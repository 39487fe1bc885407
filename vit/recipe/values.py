"""Settings as plain values: read from YAML and from KEY=VALUE, changed by dotted keys, laid flat.

Of YAML only what a recipe needs is read: sections, lists, text, numbers, yes and no. Everything is bounded, since a
file may come from anywhere: two kilobytes of aliases would else become five gigabytes.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from ..errors import UserError

MOST_BYTES = 100_000  # of a file
MOST_VALUES = 2_000  # those that aliases repeat counted each time
DEEPEST = 20  # sections and lists inside of each other
LARGEST = 2**63  # whole number
YAML_TAG = "tag:yaml.org,2002:"
STRUCTURED = tuple("[{\"'&*!|>")  # what begins a value that is more than plain text
NOT_IN_TEXT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udc7f\udd00-\udfff]")  # \udc80 on: a file name's bytes
BYTES_OF_A_NAME = re.compile(r"[\udc80-\udcff]")  # that are no UTF-8, as Python holds them (PEP 383)


def parse_overrides(arguments: Sequence[str]) -> dict[str, Any]:
    """Turn `schedule.epochs=3` arguments into a mapping; values are read as YAML.

    Raises UserError with all that is wrong.
    """
    pairs = [argument.partition("=") for argument in arguments]
    wrong = [a for a, (key, equals, _) in zip(arguments, pairs, strict=True) if not equals or not _is_dotted(key)]
    if wrong:
        raise UserError(f"not understood: {', '.join(wrong)}; an override is KEY=VALUE, for example schedule.epochs=3")
    values: dict[str, Any] = {}
    mistakes: list[str] = []
    for key, _, text in pairs:
        values[key], found = _value_of(key, text)
        mistakes += found
    mistakes += [
        f"{above}={values[above]!r} and {key} contradict each other: {above} is a section or a value"
        for key in values
        for above in values
        if key.startswith(f"{above}.") and not isinstance(values[above], dict)
    ]
    refuse(mistakes, "settings")
    return values


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the sections of a file; raises UserError for what cannot be read, with all that is wrong inside."""
    text = _text_of(path)
    try:
        loader = _PlainValues(text)
        loader.name = path.name
        node = loader.get_single_node()
        refuse(loader.mistakes, path.name)
        values = None if node is None else loader.construct_document(node)
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not readable as YAML: {error}") from error
    if not isinstance(values, dict):
        raise UserError(f"{path} holds no sections; a recipe begins with `data:`")
    return values


def refuse(mistakes: Sequence[str], where: str) -> None:
    """Raise UserError with all mistakes, where there are any."""
    if mistakes:
        count = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        raise UserError("\n".join([f"{where}: {count}", *(f"  {mistake}" for mistake in mistakes)]))


def _text_of(path: Path) -> str:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise UserError(f"{path} is larger than {MOST_BYTES // 1000} kB: no recipe; name a YAML file")
        data = path.read_bytes()
        return data.decode("utf-8-sig")
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path} is not readable as YAML: it is no text in UTF-8 ({error}); save it as UTF-8"
        ) from error


def _is_dotted(key: str) -> bool:
    return key.isprintable() and all(key.split(".")) and key.count(".") < DEEPEST


def _value_of(key: str, text: str) -> tuple[Any, list[str]]:
    """Return the value that the command line gives to a key, and what is wrong with it.

    A comment has no place there, and a text that YAML cannot read is a text, unless it begins as a list or quote does.
    """
    if BYTES_OF_A_NAME.search(text):
        return text, []
    if NOT_IN_TEXT.search(text) or len(text) > MOST_BYTES:
        return None, [f"{key}: {_shortened(text)} holds control characters, or is very long"]
    try:
        loader = _PlainValues(text, key)
        node = loader.get_single_node()
        if node is None or (isinstance(node, yaml.ScalarNode) and node.style is None):
            behind = text[node.end_mark.index :] if node else text
            if behind.strip():
                return text, []
        return None if node is None or loader.mistakes else loader.construct_document(node), loader.mistakes
    except yaml.YAMLError as error:
        if not text.startswith(STRUCTURED):
            return text, []
        why = getattr(error, "problem", None) or error
        return None, [f"{key}: {_shortened(text)} is not a YAML value: {why}; text stands in quotes: {key}='\"...\"'"]


def _shortened(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")


class _PlainValues(yaml.SafeLoader):
    """YAML as far as recipes need it; `mistakes` are told with their dotted paths, those that can be passed together.

    PyYAML keeps the last of two equal keys without a word, reads 2024-01-01 as a date and 16:9 as 969, and repeats
    aliases without end. Here the first is a mistake, the next two are text, and the last is counted.
    """

    yaml_implicit_resolvers = {
        first: [(tag, form) for tag, form in forms if tag not in (f"{YAML_TAG}timestamp", f"{YAML_TAG}value")]
        for first, forms in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def __init__(self, text: str, *above: str) -> None:
        super().__init__(text)
        self.mistakes: list[str] = []
        self.in_file = not above
        self.path: list[str | None] = [*above]  # None: a key
        self.depth = 0
        self.values = 0
        self.sizes: dict[str, int] = {}  # values behind an anchor that is complete

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()
        alias = isinstance(event, yaml.AliasEvent)
        before = self.values
        self.values += self.sizes.get(event.anchor, 1) if alias else 1
        self.depth += 1
        self.path.append(_name_of(index))
        self._check_bounds(event, alias)
        node = super().compose_node(parent, index)
        if node is not None and not alias:
            self._note(node, event.tag)
            if event.anchor:
                self.sizes[event.anchor] = self.values - before
        self.path.pop()
        self.depth -= 1
        return node

    def _check_bounds(self, event: Any, alias: bool) -> None:
        if self.values > MOST_VALUES:
            problem = f"more than {MOST_VALUES:,} values, those that aliases repeat counted each time"
        elif self.depth > DEEPEST:
            problem = f"more than {DEEPEST} sections or lists inside of each other"
        elif alias and event.anchor in self.anchors and event.anchor not in self.sizes:
            problem = f"*{event.anchor} stands inside of itself"
        else:
            return
        raise yaml.MarkedYAMLError(None, None, f"{self._where()}{problem}", event.start_mark)

    def _note(self, node: yaml.Node, tag: str | None) -> None:
        """Note what is wrong with one node: a tag, a key, a text or a number."""
        if isinstance(node, yaml.MappingNode):
            self._note_keys(node)
        if tag is not None:
            self._wrong(node, f"the tag {tag.replace(YAML_TAG, '!!')} is not read; write the value without it")
        elif node.tag == f"{YAML_TAG}str" and NOT_IN_TEXT.search(node.value):
            self._wrong(node, f"{_shortened(node.value)} holds characters that no text or file name has")
        elif node.tag in (f"{YAML_TAG}int", f"{YAML_TAG}float"):
            self._note_number(node)

    def _note_keys(self, node: yaml.MappingNode) -> None:
        for key, _ in node.value:
            if key.tag not in (f"{YAML_TAG}str", f"{YAML_TAG}merge"):
                shown = key.value if isinstance(key, yaml.ScalarNode) else "of several values"
                self._wrong(key, f"the key {shown} is no text; allowed: names of settings")
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        twice = [name for name, times in Counter(names).items() if times > 1]
        if twice:
            self._wrong(node, f"given twice: {', '.join(twice)}")

    def _note_number(self, node: Any) -> None:
        if ":" in node.value:  # to the base of 60, as YAML 1.1 has it
            node.tag = f"{YAML_TAG}str"
            return
        try:
            read = self.construct_yaml_int if node.tag == f"{YAML_TAG}int" else self.construct_yaml_float
            if not isinstance(read(node), float) and not -LARGEST <= read(node) < LARGEST:
                raise ValueError
        except ValueError:
            self._wrong(node, f"{_shortened(node.value)} is too large a number, or none")

    def _wrong(self, node: yaml.Node, problem: str) -> None:
        line = f" (line {node.start_mark.line + 1})" if self.in_file else ""
        self.mistakes.append(f"{self._where()}{problem}{line}")

    def _where(self) -> str:
        dotted = ".".join(part for part in self.path if part is not None)
        return f"{dotted}: " if dotted else ""


def _name_of(index: Any) -> str | None:
    """Return what a dotted path calls a place: the text of a key, or the number in a list; None for a key itself."""
    return None if index is None else str(getattr(index, "value", index))


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
