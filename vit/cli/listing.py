"""The verbs that tell what there is: models, recipes."""

from ..messages import print_result
from .app import app
from .arguments import importing


@app.command()
def models() -> None:
    """List the models a recipe may name."""
    with importing():
        from ..commands import models as command

    print_result(command.show())


@app.command(name="recipes")
def list_recipes() -> None:
    """List the recipes and comparisons that are shipped."""
    with importing():
        from ..commands import recipes as command

    print_result(command.show())
