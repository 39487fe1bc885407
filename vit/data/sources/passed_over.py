"""What lies among the images and is not used: told by reason."""

from collections import defaultdict
from collections.abc import Mapping

SHOWN = 3  # names of entries that are passed over for one reason
MOST_REASONS = 8


def in_words(passed_over: Mapping[str, str]) -> list[str]:
    """Return a line for each reason: how many entries are passed over for it, and the first of them."""
    by_reason: dict[str, list[str]] = defaultdict(list)
    for name, reason in passed_over.items():
        by_reason[reason].append(name)
    often = sorted(by_reason.items(), key=lambda item: -len(item[1]))
    lines = [f"{len(names):,} {reason}: {_some(names)}" for reason, names in often[:MOST_REASONS]]
    rest = sum(len(names) for _, names in often[MOST_REASONS:])
    return lines + [f"{rest:,} for other reasons"] * (rest > 0)


def _some(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
