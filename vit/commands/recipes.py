"""`vit recipes`: what is shipped, with the first line of each file's header."""

from .. import recipe as recipes


def show() -> str:
    names = recipes.shipped_names()
    width = max(map(len, names)) + 2
    return "\n".join(f"{name:<{width}}{_claim(name)}" for name in names)


def _claim(name: str) -> str:
    first = recipes.find(name).read_text(encoding="utf-8").split("\n")[0]
    return first.removeprefix("#").strip()
