"""The verb that chooses between models: compare."""

from pathlib import Path
from typing import Annotated

import typer

from .. import recipe as recipes
from ..errors import UserError
from ..messages import print_result
from ..places import expanded
from ..recipe.values import parse_overrides
from .app import app
from .arguments import Out, importing


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


def _comparisons() -> list[str]:
    return [name for name in recipes.shipped_names() if recipes.is_comparison(name)]
