"""The templates of pages, and how all of them are filled."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def templates(autoescape: bool) -> Environment:
    """Return the templates; a name that is not given is an error."""
    return Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=StrictUndefined,
        autoescape=autoescape,
        trim_blocks=True,
        lstrip_blocks=True,
    )
