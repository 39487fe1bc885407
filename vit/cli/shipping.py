"""The verbs that bring a model where it is needed: export, demo, serve."""

from pathlib import Path
from typing import Annotated

import typer

from ..messages import print_result
from .app import app
from .arguments import MODEL_HELP, ExportPrecision, Out, Target, importing

Models = Annotated[list[str], typer.Argument(metavar="MODEL...", help=MODEL_HELP)]
Host = Annotated[str, typer.Option(metavar="ADDRESS", help="where to listen; other machines reach 0.0.0.0")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free")]
Names = Annotated[
    list[str] | None,
    typer.Option("--allow-host", metavar="NAME", help="a name that a proxy calls this server by; repeatable"),
]


@app.command()
def export(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=MODEL_HELP)],
    to: Annotated[Target, typer.Option(help="what is to load it")],
    precision: Annotated[ExportPrecision, typer.Option(help="of an ONNX file")] = ExportPrecision.fp32,
    accept_loss: Annotated[
        float | None, typer.Option(min=0, max=1, help="of validation accuracy in int8; 0.01, a point, if not given")
    ] = None,
    images: Annotated[
        Path | None, typer.Option(metavar="PATH", help="images to check the file on; else its own test images")
    ] = None,
    opset: Annotated[int, typer.Option(help="of an ONNX file: 18, 19 or 20")] = 20,
    out: Out = None,
) -> None:
    """Write a model as another library or runtime loads it; what is wrong is not written."""
    with importing():
        from ..commands import export as command

    folder = command.export(
        model, to=to, out=out, images=images, precision=precision, accept_loss=accept_loss, opset=opset
    )
    print_result(command.show(folder, to))


@app.command()
def demo(models: Models, host: Host = "127.0.0.1", port: Port = 8000, names: Names = None) -> None:
    """Open a page here: drop a picture, see what each model answers, and why."""
    serve(models, host, port, names)


@app.command()
def serve(models: Models, host: Host = "127.0.0.1", port: Port = 8000, names: Names = None) -> None:
    """Answer programs and browsers over HTTP."""
    with importing():
        from ..commands import serve as command

    command.serve(models, host=host, port=port, allow_hosts=names or (), ready=print_result)
