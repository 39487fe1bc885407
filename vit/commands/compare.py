"""`vit compare`: many trainings, one test set, one report."""

import logging
import os
import shlex
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from ..comparison.audits import audits_of
from ..comparison.folds import grouped
from ..comparison.jobs import default_jobs
from ..comparison.kept_results import read_runs
from ..comparison.local import measure_costs, train_side_by_side
from ..comparison.pictures import pictures_of
from ..comparison.plan import PlannedRun, TrainAll, check_same_data, check_same_settings, name_finished, plan
from ..comparison.probes import probe
from ..comparison.resampling import resampled, settled
from ..comparison.search import search
from ..comparison.time_limit import TimeLimit
from ..comparison.time_limit import in_words as late_in_words
from ..environment import environment
from ..errors import Interrupted, UserError
from ..files import remove_unfinished, write_text
from ..folder_lock import at_work
from ..places import place_to_write
from ..planning.files import Asked, begun, write_plan
from ..planning.plan import make_plan, show
from ..recipe import MARGIN, Comparison, load_comparison, names_data
from ..recipe.types import seconds_of
from ..report import write
from ..report.build import compare_runs
from ..report.folds import joined_folds
from ..report.pairing import aligned
from ..report.pictures import Pictures
from ..report.results import Environment, Search, StudyDesign, Unaudited
from ..run_folder import RunFolder
from ..training import experiment_log

logger = logging.getLogger(__name__)

TIME_LIMIT = "1h"  # for a comparison that is planned


def compare(
    sources: Sequence[str | Path] | str | Path,
    *,
    out: str | Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    jobs: int | None = None,
    cluster: str | None = None,
    quick: bool = False,
    margin: float | None = None,
    time_limit: str | None = None,
    models: str | None = None,
) -> Path:
    """Carry out a comparison, plan one of a data set, or take finished runs; return the folder of its report.

    A comparison continues where it stopped: what is there already, with the same settings, is not trained again.
    `jobs` trainings run side by side, by default one a core, and one alone on a GPU. `cluster`, "auto" or an address,
    lets a Ray cluster train instead, as many at a time as it has room for; each has the threads that it would have
    here, since results on a CPU depend on them, or with a GPU its share of the node's cores. `quick` is a first look:
    one seed, the largest fraction alone, no look at images, changed or not, and none inside the models; what it trains
    is used by the whole comparison. `margin` is the difference of accuracy that matters, in [0, 1), else the
    comparison's own. `time_limit`, "20m" or "1h", holds for all of it: what does not fit is left out, and told. A data
    set's comparison is planned to fit, within an hour where none is given, with `models`, a list of names, run folders
    and files of weights by commas, or with some that are chosen. Raises UserError, with nothing written, for recipes
    that do not fit together and for a cluster that does not answer.
    """
    sources = [sources] if isinstance(sources, str | Path) else list(sources)
    if margin is not None and not 0 <= margin < 1:
        raise UserError(f"margin is {margin:g}; allowed: a difference of accuracy, from 0 to less than 1")
    if all(RunFolder(source).recipe.is_file() for source in sources):
        if cluster:
            raise UserError("finished runs are taken as they are; there is nothing to train on a cluster")
        return compare_finished(sources, out, quick, MARGIN if margin is None else margin)
    if len(sources) > 1:
        raise UserError(
            f"given: {', '.join(map(str, sources))}; allowed: one comparison, or run folders (with recipe.yaml)"
        )
    given: dict[str, Any] = {} if margin is None else {"margin": margin}
    if names_data(sources[0]):
        asked = Asked(str(sources[0]), time_limit or TIME_LIMIT, models, {**(overrides or {}), **given})
        return compare_models_on(asked, out, jobs, cluster, quick)
    if models is not None:
        raise UserError(f"--models is for images, and {sources[0]} names its recipes itself")
    given |= {} if time_limit is None else {"time_limit": time_limit}
    comparison = load_comparison(sources[0], {**(overrides or {}), **given})
    if quick:
        comparison, jobs = first_look(comparison, jobs, cluster)
    folder = place_to_write(out if out is not None else Path("comparisons") / Path(sources[0]).stem)
    with at_work(folder):
        return compare_in(folder, comparison, Path(sources[0]).stem, jobs, cluster, quick)


def first_look(comparison: Comparison, jobs: int | None, cluster: str | None) -> tuple[Comparison, int | None]:
    """Return one seed on the largest fraction, and as many trainings side by side as the whole comparison has.

    Results on a CPU depend on the threads, and the whole goes on from them.
    """
    if cluster is None:
        jobs = jobs or default_jobs(plan(comparison, Path()))
    return replace(comparison, seeds=1, fractions=(max(comparison.fractions),)), jobs


def compare_models_on(asked: Asked, out: str | Path | None, jobs: int | None, cluster: str | None, quick: bool) -> Path:
    """Plan a comparison of models on a data set, and carry it out."""
    check_is_here(cluster)
    folder = folder_for(asked, out)
    with at_work(folder):
        limit = TimeLimit(seconds_of(asked.time_limit), folder)
        file = plan_in(folder, asked, limit, jobs)
        comparison = load_comparison(file)
        if quick:
            comparison, jobs = first_look(comparison, jobs, cluster)
        return compare_in(folder, comparison, Path(asked.data).stem, jobs, cluster, quick, limit)


def plan_only(
    data: str | Path,
    *,
    out: str | Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    jobs: int | None = None,
    time_limit: str | None = None,
    models: str | None = None,
) -> Path:
    """Plan a comparison of models on a data set, and return the file of the comparison; nothing is trained."""
    asked = Asked(str(data), time_limit or TIME_LIMIT, models, dict(overrides or {}))
    folder = folder_for(asked, out)
    with at_work(folder):
        return plan_in(folder, asked, TimeLimit(seconds_of(asked.time_limit), folder), jobs)


def folder_for(asked: Asked, out: str | Path | None) -> Path:
    try:
        seconds_of(asked.time_limit)
    except ValueError as error:
        raise UserError(f"--time-limit: {error}") from error
    return place_to_write(out if out is not None else Path("comparisons") / (Path(asked.data).stem or "data"))


def plan_in(folder: Path, asked: Asked, limit: TimeLimit, jobs: int | None) -> Path:
    """Return the comparison that was planned before, or plan it now and say so."""
    if file := begun(folder, asked):
        logger.info(f"goes on with the plan in {file.parent}")
        return file
    plan = make_plan(asked.data, seconds_left=limit.left, models=asked.models, overrides=asked.settings, jobs=jobs)
    logger.info(show(plan, asked.settings))
    file = write_plan(plan, asked, folder)
    logger.info(f"planned: {file}")
    return file


def compare_in(
    folder: Path,
    comparison: Comparison,
    title: str,
    jobs: int | None,
    cluster: str | None,
    quick: bool,
    limit: TimeLimit | None = None,
) -> Path:
    """Carry out a comparison in a folder where nobody else is at work; `limit` is one that counts already."""
    if limit is None and comparison.time_limit is not None:
        limit = TimeLimit(seconds_of(comparison.time_limit), folder)
    if limit is not None:
        check_is_here(cluster)
    comparison = grouped(settled(comparison, folder), folder)
    planned = plan(comparison, folder)
    check_same_data(planned)
    finished = [p for p in planned if p.folder.scores("test").exists()]
    read_runs(finished)  # what is damaged is told before the rest trains
    if comparison.protocol == "same_recipe":
        check_same_settings(planned)
    try:
        with trainer(cluster, folder, limit) as train:
            planned, searched = carry_out(comparison, folder, train, jobs)
        late = limit.left_out if limit else []
        planned = [p for p in planned if p not in late]
        if not quick:
            probe(planned, jobs)
        design = StudyDesign(
            comparison.protocol,
            searched,
            comparison.margin,
            quick,
            resampled(planned),
            baseline=comparison.baseline,
        )
        if limit:
            design = replace(design, time_limit_seconds=limit.seconds, late=late_in_words(late))
        conclude(folder, planned, design, title)
    except (KeyboardInterrupt, Interrupted) as error:
        raise Interrupted(folder) from error
    finally:
        if limit:
            limit.keep()
    experiment_log.log_report(planned[0].recipe, folder, title)
    return folder


def check_is_here(cluster: str | None) -> None:
    if cluster is not None:
        raise UserError("a time limit holds on this machine; leave out --time-limit, or --cluster")


def carry_out(
    comparison: Comparison, folder: Path, train: TrainAll, jobs: int | None
) -> tuple[list[PlannedRun], Search | None]:
    """Search for own recipes where the protocol says so, and train all; return the runs, and how was searched."""
    remove_unfinished(folder)
    write_text(folder / "comparison.yaml", comparison.to_yaml())
    own, searched = search(comparison, folder, train, jobs) if comparison.protocol == "own_recipe" else (None, None)
    planned = plan(comparison, folder, own)
    check_same_settings(planned)
    train(planned, jobs)
    return planned, searched


def trainer(cluster: str | None, folder: Path, limit: TimeLimit | None) -> AbstractContextManager[TrainAll]:
    """Return who trains: this machine, or a cluster while connected to it."""
    if cluster is None:
        return nullcontext(partial(train_side_by_side, limit=limit))
    # Under `uv run`, Ray would copy this folder to every worker and build an environment there: minutes, or a failure
    # under --no-sync. A node's own environment is the one it was started with, and is checked.
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    try:
        from ..comparison.ray_cluster import connected
    except ImportError as error:
        raise UserError(
            "--cluster needs ray: uv sync --extra cluster, or in a clone of the repository: pip install '.[cluster]'"
        ) from error
    return connected(cluster, folder)


def compare_finished(sources: Sequence[str | Path], out: str | Path | None, quick: bool, margin: float) -> Path:
    """Write the report of runs that exist; each must have been evaluated on the same test images.

    A quick look needs nothing but what the runs kept, and not the images.
    """
    folder = place_to_write(out if out is not None else Path("comparisons") / "finished")
    planned = name_finished([RunFolder(source) for source in sources])
    unevaluated = [str(p.folder.path) for p in planned if not p.folder.logits("test").exists()]
    if unevaluated:
        raise UserError(f"not evaluated yet: {', '.join(unevaluated)}; run: vit evaluate {shlex.quote(unevaluated[0])}")
    aligned(joined_folds(read_runs(planned)))  # before anything takes time
    with at_work(folder):
        if not quick:
            probe(planned)
        design = StudyDesign("as_found", None, margin, quick, resampled(planned))
        conclude(folder, planned, design, "finished runs")
    return folder


def conclude(folder: Path, planned: list[PlannedRun], design: StudyDesign, title: str) -> None:
    """Time the models, look at the data, and write the report."""
    costs = measure_costs(planned, folder)
    quick = design.quick
    unaudited = Unaudited([], looked=False, images=0, leaks=0)
    audits = [unaudited] if quick else audits_of(planned, folder)
    runs = [replace(run, probes=None) if quick else run for run in joined_folds(read_runs(planned))]
    results = compare_runs(runs, costs, audits, design, title=title, environment=Environment(**environment()))
    pictures = Pictures() if quick else pictures_of(results, planned)
    write.write(folder, results, pictures)
