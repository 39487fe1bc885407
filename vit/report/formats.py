"""Numbers as the report writes them."""

from collections.abc import Callable
from typing import Any, Protocol

NAMES = {"vit": "ViT", "cnn": "CNN"}
LATEX = str.maketrans(
    {mark: f"\\{mark}" for mark in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "−": "--", "–": "--"}
    | {"<": "$<$", ">": "$>$"}
    | dict.fromkeys("\n\r\t\v\f\x1c\x1d\x1e\x85\u2028\u2029", " ")
)


class Bounded(Protocol):
    """What has an interval."""

    @property
    def low(self) -> float: ...

    @property
    def high(self) -> float: ...


def percent(value: float, decimals: int = 1) -> str:
    return f"{100 * value:.{decimals}f} %"


def points(value: float, decimals: int = 1) -> str:
    return f"{round(100 * value, decimals) + 0.0:+.{decimals}f}".replace("-", "−")  # + 0.0: no negative zero


def margin(value: float) -> str:
    return f"{100 * value:g} point{'s' * (value != 0.01)}"


def decimals_for(a: float, b: float) -> int:
    """Return how many decimals two percentages need for their difference to be what a reader makes of them, and seen.

    99.26 and 98.43 are 0.83 apart: with one decimal 99.3 and 98.4 would seem to be 0.9 apart, and are told 0.8.
    """
    for decimals in (1, 2):
        first, second, apart = (round(100 * value, decimals) for value in (a, b, a - b))
        if round(first - second, decimals) == apart and (apart != 0 or a == b):
            return decimals
    return 3


def p_value(value: float | None) -> str:
    """Return a p-value that stays on its side of 5 % when it is rounded."""
    if value is None:
        return "–"
    if value < 0.001:
        return "< 0.001"
    return f"{value:.4f}" if f"{value:.3f}" == "0.050" and value != 0.05 else f"{value:.3f}"


def equals(value: float) -> str:
    text = p_value(value)
    return text if text.startswith("<") else f"= {text}"


def series(words: list[str], last: str = "and") -> str:
    """Return ["a", "b", "c"] as "a, b and c", or with another word before the last."""
    return f" {last} ".join([", ".join(words[:-1])] * (len(words) > 1) + words[-1:])


def amount(value: float) -> str:
    """Return 5826048 as 5.83 M, and 1234 as 1,234."""
    for unit, size in (("G", 1e9), ("M", 1e6)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def interval(estimate: Bounded, form: Callable[[float], str] = percent) -> str:
    return f"[{form(estimate.low)}, {form(estimate.high)}]"


def setting(value: Any) -> str:
    """Return a recipe's value as its YAML would show it."""
    if value is None:
        return "–"
    if isinstance(value, bool | str):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def latex(text: str) -> str:
    return text.translate(LATEX)


def budget(value: Any) -> str:
    return value if isinstance(value, str) else amount(value)


def words(key: str) -> str:
    """Return `images_seen` as "images seen"."""
    return key.replace("macs", "multiply-accumulates").replace("_", " ")


def memory(value: int | None) -> str:
    return "not known" if value is None else f"{value / 1e6:,.0f} MB"


def file_size(value: int | None) -> str:
    """Return 1141234 as 1.1 MB, and 343212345 as 343 MB."""
    if value is None:
        return "not known"
    return f"{value / 1e6:.1f} MB" if value < 10e6 else memory(value)


def milliseconds(value: float) -> str:
    return f"{value:.3g}"


def of_rounds(form: Callable[[float], str], median: float, low: float, high: float) -> str:
    return f"{form(median)} [{form(low)}, {form(high)}]"


def ratio(value: float) -> str:
    """Return how many times, with a decimal where it tells: 1.05, 1.8, 12."""
    return f"{value:.{2 if value < 1.15 else 1 if value < 9.95 else 0}f}"
