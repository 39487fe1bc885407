"""The verbs before and of a training: check, find-lr, train, pretrain, finetune."""

from typing import Annotated

import typer

from ..errors import UserError
from ..messages import print_result
from ..recipe import check_learns_without, is_data, load_recipe, names_data
from ..recipe.values import parse_overrides
from .app import app, check_recipe, check_resumed, print_once
from .arguments import MODEL_HELP, Out, Settings, importing


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="a file, or a name of `vit recipes`")],
    settings: Settings = None,
    out: Out = None,
    resume: Annotated[bool, typer.Option("--resume", help="continue the run in --out")] = False,
) -> None:
    """Train a model; writes a run folder."""
    overrides = parse_overrides(settings or [])
    check_recipe(recipe, overrides, out)
    check_resumed(resume, out)
    with importing():
        from ..commands import train as command

    print_once(command.train(recipe, out=out, overrides=overrides, resume=resume).path)


@app.command()
def pretrain(
    source: Annotated[str, typer.Argument(metavar="DATA|RECIPE", help="images, or a recipe of `vit recipes`")],
    settings: Settings = None,
    out: Out = None,
    resume: Annotated[bool, typer.Option("--resume", help="continue the run in --out")] = False,
) -> None:
    """Learn from images without their labels; writes a run folder to fine-tune from."""
    overrides = parse_overrides(settings or [])
    if not names_data(source):
        check_learns_without(load_recipe(source, overrides), source)
    check_resumed(resume, out)
    with importing():
        from ..commands import pretrain as command

    print_once(command.pretrain(source, out=out, overrides=overrides, resume=resume).path)


@app.command()
def finetune(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=MODEL_HELP)],
    data: Annotated[str, typer.Argument(metavar="DATA", help="a folder or CSV file of images, or a dataset")],
    settings: Settings = None,
    out: Out = None,
    resume: Annotated[bool, typer.Option("--resume", help="continue the run in --out")] = False,
) -> None:
    """Train a pretrained model on your images, with settings chosen for both."""
    overrides = parse_overrides(settings or [])
    of_the_model = {key for key in overrides if key.startswith("model.")}  # known when the weights are read
    rest = {key: value for key, value in overrides.items() if key not in of_the_model}
    check_recipe("finetune_vit", {"schedule.warmup_epochs": 0, "schedule.epochs": 1_000_000} | rest, out)
    check_resumed(resume, out)
    with importing():
        from ..commands import finetune as command

    print_once(command.finetune(model, data, out=out, overrides=overrides, resume=resume).path)


@app.command()
def check(
    source: Annotated[str, typer.Argument(metavar="RECIPE|DATA", help="a recipe, or a folder or CSV file of images")],
    settings: Settings = None,
    out: Out = None,
) -> None:
    """Look at data and cost before any training."""
    overrides = parse_overrides(settings or [])
    if not is_data(source):
        check_recipe(source, overrides)
    with importing():
        from ..commands import check as command

    findings = command.check(source, overrides, out=out)
    print_result(command.show(findings))
    if findings.faults:
        raise UserError(command.faults_in_words(findings))


@app.command()
def find_lr(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="a file, or a name of `vit recipes`")],
    settings: Settings = None,
    steps: Annotated[int, typer.Option(min=10, help="learning rates to try, a step each")] = 100,
    out: Out = None,
) -> None:
    """Try many learning rates for a step each; draw the losses, and suggest one."""
    overrides = parse_overrides(settings or [])
    check_recipe(recipe, overrides)
    with importing():
        from ..commands import find_lr as command

    print_result(command.show(command.find_lr(recipe, out=out, overrides=overrides, steps=steps)))
