"""The program that all verbs belong to, and what several of them do first and last."""

from pathlib import Path
from typing import Annotated, Any

import typer

from .. import __version__
from ..errors import UserError
from ..folder_lock import refuse_at_work
from ..hardware import processes
from ..messages import print_result
from ..places import expanded
from ..recipe import check_learns_labels, load_recipe
from . import bench

app = typer.Typer(
    help="A Vision Transformer or a CNN for your images? Train both fairly, and read a report you can defend.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(bench.app, name="bench")


@app.callback(invoke_without_command=True)
def version(show: Annotated[bool, typer.Option("--version", help="print the version")] = False) -> None:
    if show:
        print(__version__)
        raise typer.Exit()


def print_once(result: object) -> None:
    """Print what several processes of one command all have."""
    if processes.is_first():
        print_result(result)


def check_recipe(recipe: str, overrides: dict[str, Any], out: Path | None = None) -> None:
    """Raise UserError for a recipe that cannot be, and for a folder in which a run is at work, without torch."""
    check_learns_labels(load_recipe(recipe, overrides), recipe)
    if out is not None:
        refuse_at_work(expanded(out))


def check_resumed(resume: bool, out: Path | None) -> None:
    if resume and out is None:
        raise UserError("--resume continues the run in --out DIR: say which")
