"""`vit models`: what a recipe may name under `model.name`."""

from fnmatch import fnmatch

from ..registry import MODELS, PUBLISHED
from ..registry.table import Lazy


def list_models(pattern: str = "*") -> list[str]:
    """Return the names of our models that match a pattern such as `vit_*`; timm's zoo is reached as `timm/<name>`."""
    return [name for name in MODELS if fnmatch(name, pattern)]


def show() -> str:
    width = max(map(len, MODELS)) + 2
    lines = [f"{name:<{width}}{_about(name)}" for name in MODELS]
    lines.append(f"{'timm/<name>':<{width}}any model of timm, by its name there")
    published = [f"{name:<{width}}{weights}" for name, weights in PUBLISHED.items()]
    return "\n".join([*lines, "", "published weights, fetched at first use:", *published])


def _about(name: str) -> str:
    function = MODELS[name]
    return function.about if isinstance(function, Lazy) else (function.__doc__ or "").split("\n")[0]
