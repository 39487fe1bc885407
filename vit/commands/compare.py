"""`vit compare`: many trainings, one test set, one report."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from ..errors import Interrupted, UserError
from ..results import report
from ..results.comparison import Run, check_same_images, compare_runs
from ..run_folder import RunFolder, environment, write_text
from . import experiment_log
from .comparison_runs import TrainAll, check_same_data, check_same_settings, name_finished, plan, read_run
from .inputs import load_comparison
from .side_by_side import measure_costs, train_side_by_side


def compare(
    sources: Sequence[str | Path] | str | Path,
    *,
    out: str | Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    jobs: int | None = None,
    cluster: str | None = None,
) -> Path:
    """Carry out a comparison, or take finished runs, and return the folder of its report.

    A comparison continues where it stopped: what is there already, with the same settings, is not trained again.
    `jobs` trainings run side by side, by default one a core, and one alone on a GPU. `cluster`, "auto" or an address,
    lets a Ray cluster train instead, as many at a time as it has room for; each has the threads that it would have
    here, since results on a CPU depend on them, or with a GPU its share of the node's cores. Raises UserError, with
    nothing written, for recipes that do not fit together and for a cluster that does not answer.
    """
    sources = [sources] if isinstance(sources, str | Path) else list(sources)
    if all(RunFolder(source).recipe.is_file() for source in sources):
        if cluster:
            raise UserError("finished runs are taken as they are; there is nothing to train on a cluster")
        return compare_finished(sources, out)
    if len(sources) > 1:
        raise UserError(
            f"given: {', '.join(map(str, sources))}; allowed: one comparison, or run folders (with recipe.yaml)"
        )
    comparison = load_comparison(sources[0], overrides)
    folder = Path(out) if out is not None else Path("comparisons") / Path(sources[0]).stem
    planned = plan(comparison, folder)
    check_same_data(planned)
    check_same_settings(planned)
    try:
        with trainer(cluster, folder) as train:
            write_text(folder / "comparison.yaml", comparison.to_yaml())
            train(planned, jobs)
        costs = measure_costs(planned, folder)
    except (KeyboardInterrupt, Interrupted) as error:
        raise Interrupted(folder) from error
    name = Path(sources[0]).stem
    write_report(folder, [read_run(p) for p in planned], costs, name)
    experiment_log.log_report(planned[0].recipe, folder, name)
    return folder


def trainer(cluster: str | None, folder: Path) -> AbstractContextManager[TrainAll]:
    """Return who trains: this machine, or a cluster while connected to it."""
    if cluster is None:
        return nullcontext(train_side_by_side)
    try:
        from .cluster import connected
    except ImportError as error:
        raise UserError("--cluster needs ray: uv sync --extra cluster, or pip install 'vit[cluster]'") from error
    return connected(cluster, folder)


def compare_finished(sources: Sequence[str | Path], out: str | Path | None) -> Path:
    """Write the report of runs that exist; each must have been evaluated on the same test images."""
    folder = Path(out) if out is not None else Path("comparisons") / "finished"
    planned = name_finished([RunFolder(source) for source in sources])
    unevaluated = [str(p.folder.path) for p in planned if not p.folder.logits("test").exists()]
    if unevaluated:
        raise UserError(f"not evaluated yet: {', '.join(unevaluated)}; run: vit evaluate {unevaluated[0]}")
    runs = [read_run(p) for p in planned]
    check_same_images(runs)
    costs = measure_costs(planned, folder)
    return write_report(folder, runs, costs, "finished runs")


def write_report(folder: Path, runs: list[Run], costs: dict[str, dict[str, Any]], title: str) -> Path:
    report.write(folder, compare_runs(runs, costs) | {"title": title, "environment": environment()})
    return folder
