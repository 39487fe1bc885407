"""The verbs: each reads its arguments, calls one command, and prints what it gives.

A command is imported inside its verb, so that help and a bad recipe answer without torch.
"""

from pathlib import Path
from typing import Annotated

import typer

from .. import __version__
from .. import recipe as recipes
from ..errors import UserError
from ..folder_lock import refuse_at_work
from ..hardware import processes
from ..messages import print_result
from ..places import expanded
from ..recipe.values import parse_overrides
from . import bench
from .arguments import (
    MODEL_HELP,
    AnswerPrecision,
    Answers,
    Cover,
    Format,
    MergeTokens,
    Out,
    Settings,
    Target,
    importing,
)

app = typer.Typer(
    help="A Vision Transformer or a CNN for your images? Train both fairly, and read a report you can defend.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(bench.app, name="bench")


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="a file, or a name of `vit recipes`")],
    settings: Settings = None,
    out: Out = None,
    resume: Annotated[bool, typer.Option("--resume", help="continue the run in --out")] = False,
) -> None:
    """Train a model; writes a run folder."""
    overrides = parse_overrides(settings or [])
    _check_first(recipe, overrides, out)
    if resume and out is None:
        raise UserError("--resume continues the run in --out DIR: say which")
    with importing():
        from ..commands import train as command

    _print_once(command.train(recipe, out=out, overrides=overrides, resume=resume).path)


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
    _check_first("finetune_vit", {"schedule.warmup_epochs": 0, "schedule.epochs": 1_000_000} | rest, out)
    if resume and out is None:
        raise UserError("--resume continues the run in --out DIR: say which")
    with importing():
        from ..commands import finetune as command

    _print_once(command.finetune(model, data, out=out, overrides=overrides, resume=resume).path)


@app.command()
def evaluate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=MODEL_HELP)],
    data: Annotated[
        str | None, typer.Argument(metavar="[DATA]", help="a folder, CSV file or dataset; else the model's own")
    ] = None,
    split: Annotated[str, typer.Option(help="train, validation or test")] = "test",
    merge_tokens: MergeTokens = 0,
    precision: Answers = AnswerPrecision.fp32,
    out: Out = None,
) -> None:
    """Score a model on a split, every image once."""
    with importing():
        from ..commands import evaluate as command

    evaluation = command.evaluate(model, data, split=split, merge_tokens=merge_tokens, precision=precision, out=out)
    _print_once(command.show(evaluation, split))


@app.command()
def predict(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=MODEL_HELP)],
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="image files, or folders of them")],
    top: Annotated[int, typer.Option(min=1, help="classes to name for each image")] = 5,
    merge_tokens: MergeTokens = 0,
    precision: Answers = AnswerPrecision.fp32,
    form: Annotated[Format, typer.Option("--format", help="how to print")] = Format.table,
) -> None:
    """Name the classes of images."""
    with importing():
        from ..commands import predict as command

    predictions = command.predict(model, paths, top=top, merge_tokens=merge_tokens, precision=precision)
    print_result(command.show(predictions.rows, form))
    if predictions.unreadable:
        raise UserError(command.unreadable_in_words(predictions))


@app.command()
def compare(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="DATA|COMPARISON|RUN... [KEY=VALUE ...]",
            help="images to choose a model for, a file or name of `vit recipes`, or finished runs",
        ),
    ],
    out: Out = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="trainings side by side; else one a core")] = None,
    cluster: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="let a Ray cluster train: auto, or its HOST:PORT")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="a first look: one seed, all data, no images looked at")
    ] = False,
    margin: Annotated[
        float | None, typer.Option(min=0, max=0.99, help="difference of accuracy that matters; 0.01 is a point")
    ] = None,
    time_limit: Annotated[
        str | None, typer.Option(metavar="TIME", help="for all of it: 20m, 1h, 90s; for images 1h if not given")
    ] = None,
    models: Annotated[
        str | None,
        typer.Option(metavar="A,B,...", help="for images: vit_small,resnet50+se,timm/convnext_tiny,runs/a,file"),
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="for images: say what would be done, and train nothing")] = False,
) -> None:
    """Choose between models for your images, train a comparison, or take finished runs; write the report."""
    settings = [source for source in sources if "=" in source and not expanded(source).exists()]
    sources = [source for source in sources if source not in settings]
    overrides = parse_overrides(settings)
    if not sources:
        raise UserError(f"name a comparison first (shipped: {', '.join(_comparisons())})")
    finished = (Path(sources[0]) / "recipe.yaml").is_file()
    images = not finished and recipes.names_data(sources[0])
    if (plan or models is not None) and not images:
        raise UserError(f"--plan and --models are for images: a folder, a CSV file or a data set; given: {sources[0]}")
    if finished and overrides:
        raise UserError(f"finished runs are taken as they are; {', '.join(overrides)} cannot change them")
    if not finished and not images:
        recipes.load_comparison(sources[0], overrides)
    with importing():
        from ..commands import compare as command

    if plan:
        file = command.plan_only(
            sources[0], out=out, overrides=overrides, jobs=jobs, time_limit=time_limit, models=models
        )
        print_result(file.as_posix())
        return
    folder = command.compare(
        sources,
        out=out,
        overrides=overrides,
        jobs=jobs,
        cluster=cluster,
        quick=quick,
        margin=margin,
        time_limit=time_limit,
        models=models,
    )
    print_result((folder / "report.html").as_posix())


@app.command()
def explain(
    given: Annotated[
        list[str], typer.Argument(metavar="MODEL... PATH...", help="models, and then image files or folders of them")
    ],
    method: Annotated[
        str | None, typer.Option(metavar="NAME", help="integrated_gradients if none, attention, hirescam, ...")
    ] = None,
    classes: Annotated[
        list[str] | None,
        typer.Option("--class", metavar="NAME", help="a class to explain, else the answer; repeatable"),
    ] = None,
    fill: Annotated[Cover, typer.Option(help="what covers a cell when maps are measured")] = Cover.mean,
    out: Out = None,
) -> None:
    """Show why models answer as they do, side by side, and whether the maps mean anything."""
    with importing():
        from ..commands import explain as command

    explained = command.explain_to_folder(given, method=method, classes=classes or (), fill=fill.value, out=out)
    print_result(command.show(explained.found))
    print_result(explained.page.as_posix())
    if explained.unreadable:
        raise UserError("\n".join(explained.unreadable))


@app.command()
def export(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=MODEL_HELP)],
    to: Annotated[Target, typer.Option(help="the library that is to load it")],
    out: Out = None,
) -> None:
    """Write a model as another library loads it."""
    with importing():
        from ..commands import export as command

    print_result(command.show(command.export(model, to=to, out=out), to))


@app.command()
def check(
    source: Annotated[str, typer.Argument(metavar="RECIPE|DATA", help="a recipe, or a folder or CSV file of images")],
    settings: Settings = None,
    out: Out = None,
) -> None:
    """Look at data and cost before any training."""
    from ..recipe import is_data

    overrides = parse_overrides(settings or [])
    if not is_data(source):
        _check_first(source, overrides)
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
    _check_first(recipe, overrides)
    with importing():
        from ..commands import find_lr as command

    print_result(command.show(command.find_lr(recipe, out=out, overrides=overrides, steps=steps)))


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


@app.callback(invoke_without_command=True)
def version(show: Annotated[bool, typer.Option("--version", help="print the version")] = False) -> None:
    if show:
        print(__version__)
        raise typer.Exit()


def _print_once(result: object) -> None:
    if processes.is_first():
        print_result(result)


def _check_first(recipe: str, overrides: dict, out: Path | None = None) -> None:
    from ..recipe import load_recipe

    load_recipe(recipe, overrides)
    if out is not None:
        refuse_at_work(expanded(out))


def _comparisons() -> list[str]:
    return [name for name in recipes.shipped_names() if recipes.is_comparison(name)]
