"""What a finished run kept, checked whole before a report stands on it: files get cut off, edited, and mixed up."""

import shlex
from collections.abc import Sequence
from math import isclose
from pathlib import Path
from typing import Annotated, Any, cast

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr, TypeAdapter, ValidationError

from ..data.sources import contents
from ..data.sources.contents import Contents
from ..errors import UserError, listed
from ..evaluation import logits as logits_file
from ..files import digest_of_file, read_csv, read_json, read_memory
from ..pretrained.start import Start
from ..registry.table import lines_of
from ..report import metrics
from ..report.answers import Logits, places
from ..report.results import Skipped
from ..report.run_files import Probes
from ..report.runs import Run
from ..run_folder import RunFolder
from .plan import PlannedRun

Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[StrictInt, Field(ge=0)]
ADVICE = "bring back what was there, or train anew in another folder"


class Part(BaseModel):
    """What the report reads of a file; it may hold more."""

    model_config = ConfigDict(extra="allow")


class Summary(Part):
    model: StrictStr
    parameters: Count
    macs: Count
    seconds: Amount
    images_seen: Count
    training_images: Count
    validation_images: Count
    validation_top1: Annotated[Amount, Field(le=1)]
    peak_memory_bytes: Count | None
    precision: StrictStr
    threads: Count
    start: Start | StrictStr | None = None  # a line, in runs of versions before


class Surroundings(Part):
    processor: StrictStr
    gpus: list[StrictStr]


class ClassScores(Part):
    name: Annotated[StrictStr, Field(alias="class")]


class Scores(Part):
    per_class: Annotated[list[ClassScores], Field(min_length=1)]
    logits_digest: StrictStr | None = None
    model_digest: StrictStr | None = None
    images_digest: StrictStr | None = None


def read_runs(planned: Sequence[PlannedRun]) -> list[Run]:
    """Return what is kept of runs; raises UserError that says what is wrong in any of them."""
    runs: list[Run] = []
    complaints: list[str] = []
    for one in planned:
        try:
            runs.append(read_run(one))
        except UserError as error:
            complaints.append(str(error))
    if complaints:
        count = "1 run" if len(complaints) == 1 else f"{len(complaints)} runs"
        raise UserError("\n".join([f"the results of {count} cannot be used:", *listed(complaints)]))
    return runs


def read_run(planned: PlannedRun) -> Run:
    """Return what is kept of a run, for the report; raises UserError for what is damaged or of another run."""
    folder = planned.folder
    images = contents.read(folder.images, ("test",))
    summary = checked(Summary, folder.summary)
    summary["start"] = start_of(summary.get("start"))
    surroundings = checked(Surroundings, folder.environment)
    ids, labels, logits = read_logits(folder, "test")
    scores = checked(Scores, folder.scores("test"))
    model = digest_of_file(folder.model) if folder.model.exists() else None
    check_scores(folder, scores, labels, logits)
    check_belongs(folder, "test", scores, model)
    return Run(
        model=planned.model,
        fraction=planned.fraction,
        seed=planned.seed,
        recipe=planned.recipe.to_dict(),
        summary=summary,
        scores=scores,
        ids=ids,
        labels=labels,
        logits=logits,
        curve=read_curve(folder.metrics),
        machine=", ".join([surroundings["processor"], *surroundings["gpus"]]),
        skipped=skipped_of(folder),
        images=images and images_of(folder, images, ids, scores),
        validation=read_validation(folder, logits.shape[1], model),
        probes=cast(Probes | None, read_memory(folder.probes)),
    )


def start_of(kept: Any) -> Start | None:
    """Return what a run began with, as its summary holds it: facts, or a line in versions before."""
    if isinstance(kept, str):
        return Start(pretrained=kept)
    return None if kept is None else TypeAdapter(Start).validate_python(kept)


def read_logits(folder: RunFolder, split: str) -> tuple[np.ndarray, np.ndarray, Logits]:
    """Return the names [N], labels [N] and logits [N, C] that `vit evaluate` kept of a split."""
    path = folder.logits(split)
    try:
        ids, labels, logits = logits_file.read(path)
    except Exception as error:  # of the zip, of its compression, of an array's header or size
        raise UserError(f"{path} cannot be read ({error}); {anew(folder, split)}") from error
    if labels.ndim == 2:
        raise UserError(f"{path} has several labels an image; a comparison judges one")
    whole = (
        ids.dtype.kind == "U" and labels.dtype.kind in "iu" and len(logits.shape) == 2 and logits[:1].dtype.kind == "f"
    )
    if not (whole and len(ids) > 0 and ids.shape == labels.shape == logits.shape[:1]):
        raise UserError(f"{path} holds no logits of named and labelled images; {anew(folder, split)}")
    if labels.min() < 0 or labels.max() >= logits.shape[1]:
        raise UserError(f"{path} has labels beyond its {logits.shape[1]} classes; {anew(folder, split)}")
    if not all(np.isfinite(logits[rows]).all() for rows in places(logits)):
        raise UserError(f"{path} has outputs that are not finite (nan or infinite); {anew(folder, split)}")
    return ids, labels, logits


def read_validation(folder: RunFolder, classes: int, model: str | None) -> tuple[Logits, np.ndarray] | None:
    """Return the logits and labels of validation, where they were kept."""
    if not folder.logits("validation").exists():
        return None
    _, labels, logits = read_logits(folder, "validation")
    if logits.shape[1] != classes:
        raise UserError(
            f"{folder.logits('validation')} is of {logits.shape[1]} classes, the test split's of {classes}; "
            f"{anew(folder, 'validation')}"
        )
    if folder.scores("validation").exists():
        check_belongs(folder, "validation", checked(Scores, folder.scores("validation")), model)
    return logits, labels


def read_curve(path: Path) -> dict[str, list[float]]:
    """Return the columns of a training's metrics, a value an epoch."""
    try:
        rows = read_csv(path)
        curve = {name: [float(row[name]) for row in rows] for name in rows[0]}
        if not {"images_seen", "seconds", "validation_top1"} <= curve.keys():
            raise ValueError("columns are missing")
    except (ValueError, TypeError, LookupError) as error:
        raise UserError(f"{path} is no table of numbers, a row an epoch ({error}); {ADVICE}") from error
    return curve


def skipped_of(folder: RunFolder) -> list[Skipped]:
    rows = read_csv(folder.skipped) if folder.skipped.exists() else []
    return [Skipped(row["path"], row["reason"]) for row in rows]


def images_of(folder: RunFolder, images: Contents, ids: np.ndarray, scores: dict[str, Any]) -> np.ndarray:
    """Return the digests of the content of the test images, in the order of their names [N]."""
    kept = images.digests["test"]
    others = scores.get("images_digest") not in (None, contents.digest_of_all(kept))
    if others or not np.array_equal(images.ids["test"], ids):
        raise UserError(
            f"{folder.logits('test')} is not of the images that {folder.path} set apart; {anew(folder, 'test')}"
        )
    return kept


def check_scores(folder: RunFolder, scores: dict[str, Any], labels: np.ndarray, logits: Logits) -> None:
    """Refuse scores that do not follow from the logits beside them."""
    path = folder.scores("test")
    names = [row["class"] for row in scores["per_class"]]
    if len(names) != logits.shape[1]:
        raise UserError(f"{path} names {len(names)} classes, its logits have {logits.shape[1]}; {anew(folder, 'test')}")
    computed = metrics.scores(logits, labels, names)
    other = [name for name, value in computed.items() if not alike(value, scores.get(name))]
    if other:
        raise UserError(f"{path}: {', '.join(other)} do not follow from the logits beside it; {anew(folder, 'test')}")


def check_belongs(folder: RunFolder, split: str, scores: dict[str, Any], model: str | None) -> None:
    """Refuse logits that were not written with these scores, and scores of another model than the run's.

    `model` is the digest of the run's model file, where there is one.
    """
    if scores.get("logits_digest") not in (None, digest_of_file(folder.logits(split))):
        raise UserError(f"{folder.logits(split)} was not written with {folder.scores(split)}; {anew(folder, split)}")
    if model and scores.get("model_digest") not in (None, model):
        raise UserError(f"{folder.scores(split)} is of another model than {folder.model}; {anew(folder, split)}")


def checked(kind: type[Part], path: Path) -> Any:
    """Return what a file holds, once it is of a kind; raises UserError, with all that is wrong."""
    values = read_json(path)
    try:
        kind.model_validate(values)
    except ValidationError as error:
        raise UserError(f"{path}: {'; '.join(lines_of(error))}; {ADVICE}") from error
    return values


def anew(folder: RunFolder, split: str) -> str:
    which = "" if split == "test" else f" --split {split}"
    return f"evaluate anew: vit evaluate {shlex.quote(str(folder.path))}{which}"


def alike(a: Any, b: Any) -> bool:
    """Return whether two values are equal; numbers as far as other processors and versions compute the same."""
    if isinstance(a, float) and isinstance(b, int | float):
        return isclose(a, b, rel_tol=1e-6, abs_tol=1e-9)
    if isinstance(a, list) and isinstance(b, list):
        return a == b or (len(a) == len(b) and all(map(alike, a, b)))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(alike(a[key], b[key]) for key in a)
    return a == b
