"""The verbs of a model that answers: evaluate, predict, explain."""

from typing import Annotated

import typer

from ..errors import UserError
from ..messages import print_result
from .app import app, print_once
from .arguments import MODEL_HELP, AnswerPrecision, Answers, Cover, Format, MergeTokens, Out, importing


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
    print_once(command.show(evaluation, split))


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
