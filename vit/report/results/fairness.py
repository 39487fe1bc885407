"""What every model was given."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class FairnessRow:
    """What every model was given of one thing, a number or words; `ratio` is the largest over the smallest number."""

    key: str
    values: dict[str, Any]
    ratio: float | None
    matched: bool


@dataclass(frozen=True)
class SettingDifference:
    """A setting that differs, by dotted key: its value in every model's recipe."""

    key: str
    values: dict[str, Any]


@dataclass(frozen=True)
class FairnessTable:
    """What every model was given, matched or not, and the settings that are equal and that differ."""

    rows: list[FairnessRow]
    differences: list[SettingDifference]
    matched: dict[str, Any]
    only_models_differ: bool

    def row(self, key: str) -> FairnessRow:
        return next(row for row in self.rows if row.key == key)
