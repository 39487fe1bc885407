"""Settings that nobody gave: what was chosen in their place, and why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Choice:
    """A setting that nobody gave, and why it is what it is."""

    key: str
    value: Any
    reason: str


def settings(choices: Sequence[Choice]) -> dict[str, Any]:
    return {choice.key: choice.value for choice in choices}


def show(choices: Sequence[Choice], overrides: Mapping[str, Any]) -> str:
    """Return what was chosen, a line each, and what the user has set instead."""
    lines = []
    for choice in choices:
        given = {
            key: value for key, value in overrides.items() if key == choice.key or choice.key.startswith(f"{key}.")
        }
        if given:
            continue
        reason = f"   # {choice.reason}" if choice.reason else ""
        lines.append(f"  {choice.key}={_short(choice.value)}{reason}")
    lines += [f"  {key}={_short(value)}   # given" for key, value in overrides.items()]
    return "\n".join(["chosen (change any with KEY=VALUE):", *lines])


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_short(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_short(item) for item in value) + "]"
    return f"{value:g}" if isinstance(value, float) else str(value)
