"""The verbs below `vit bench`."""

from pathlib import Path
from typing import Annotated

import typer

from .arguments import Device, Precision, importing

app = typer.Typer(no_args_is_help=True, help="Time this toolkit beside others on this machine, each in turn.")

Rounds = Annotated[int, typer.Option(min=1, help="after one that is not counted")]
File = Annotated[Path | None, typer.Option(metavar="FILE.json", help="file to write to")]


@app.command(name="data")
def data(
    data: Annotated[str | None, typer.Argument(metavar="[DATA]", help="class folders; else two photographs")] = None,
    against: Annotated[str, typer.Option(metavar="A,B", help="other loaders")] = "timm,torchvision",
    image_size: Annotated[int, typer.Option(min=1, help="pixels")] = 224,
    batch_size: Annotated[int, typer.Option(min=1)] = 64,
    workers: Annotated[int, typer.Option(min=0, help="threads, or processes of loaders that use these")] = 2,
    images: Annotated[int, typer.Option(min=1, help="a round, at least")] = 2000,
    rounds: Rounds = 5,
    out: File = None,
) -> None:
    """Loading of training images from files to normalised batches."""
    with importing():
        from ..commands import bench_data as command

    measured = command.bench_data(
        data,
        against=_listed(against),
        image_size=image_size,
        batch_size=batch_size,
        workers=workers,
        images=images,
        rounds=rounds,
        out=out,
    )
    print(command.show(measured))


@app.command(name="train", help="Steps of training: forward, loss, backward, optimizer.")
@app.command(name="infer", help="Inference on batches of images.")
def models(
    context: typer.Context,
    models: Annotated[
        str | None, typer.Option(metavar="A,B", help="NAME[/PATCH][+ATTENTION][@PIXELS]: vit_tiny/4@32,resnet50+se")
    ] = None,
    against: Annotated[
        str, typer.Option(metavar="A,B", help="other libraries; infer: openvino and onnxruntime, too")
    ] = "timm,torchvision,transformers",
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="else 32, and what is usual for large and tiny models")
    ] = None,
    precision: Annotated[Precision, typer.Option()] = Precision.auto,
    device: Annotated[Device, typer.Option()] = Device.auto,
    seconds: Annotated[float, typer.Option(min=0.01, help="a round, about")] = 3.0,
    rounds: Rounds = 5,
    out: File = None,
) -> None:
    with importing():
        from ..commands import bench_models as command

    measured = command.bench_models(
        str(context.info_name),
        models=command.MODELS if models is None else _listed(models),
        against=_listed(against),
        batch_size=batch_size,
        precision=precision,
        device=device,
        seconds=seconds,
        rounds=rounds,
        out=out,
    )
    print(command.show(measured))


@app.command(name="startup")
def startup(
    model: Annotated[str, typer.Option(metavar="NAME", help="what `vit predict` is timed with")] = "vit_small",
    rounds: Rounds = 5,
    out: File = None,
) -> None:
    """Help, a bad recipe and one prediction, from the start of the process to its end."""
    with importing():
        from ..commands import bench_startup as command

    print(command.show(command.bench_startup(model=model, rounds=rounds, out=out)))


def _listed(names: str) -> list[str]:
    return [name for name in names.split(",") if name]
