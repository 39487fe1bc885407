"""Pages of docs/ whose tables are written anew between marks, <!-- NAME --> and <!-- end -->; their words stand."""

import re
from pathlib import Path
from typing import Any

from vit.files import write_text

DOCS = Path(__file__).parent.parent / "docs"


def renew(page: Path, mark: str, table: str) -> None:
    """Put a table between its marks."""
    write_text(page, renewed(page.read_text(encoding="utf-8"), mark, table))


def renewed(text: str, mark: str, table: str) -> str:
    """Return a page's text with a table between its marks."""
    between = re.compile(rf"(<!-- {mark} -->\n).*?(<!-- end -->)", flags=re.S)
    return between.sub(lambda found: f"{found[1]}{table.rstrip()}\n{found[2]}", text)


def machine(environment: dict[str, Any]) -> str:
    """Return when and where something was measured, in words."""
    processor, torch = environment["processor"], environment["versions"]["torch"]
    return f"{environment['date'][:10]}, {environment['cores']} cores of {processor}, torch {torch}"
