"""Runs of several models on the same test images become one set of results, ready to be told.

Pure: the same runs give the same results. Timings are the only values that were not computed from logits.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256

import numpy as np

from . import (
    agreement,
    calibration,
    data_efficiency,
    explanations,
    fairness,
    internals,
    recommendation,
    robustness,
    selection,
)
from .clusters import by_cluster, clusters_of
from .pairing import aligned
from .results import (
    Accuracy,
    Agreement,
    Audit,
    Curve,
    CurveFits,
    DataSet,
    Environment,
    FractionRow,
    Galleries,
    Hashes,
    ModelRow,
    Results,
    StudyDesign,
    TimedOn,
    TimeToAccuracy,
    TimeToLevel,
    TrainingFacts,
    Unaudited,
)
from .run_files import Cost
from .runs import Group, Run, correct_of, folds_of, images_of, mean_score
from .statistics import accuracy
from .verdicts import pair_rows


def compare_runs(
    runs: list[Run],
    costs: Mapping[str, Cost],
    audits: Sequence[Audit | Unaudited],
    design: StudyDesign,
    *,
    title: str,
    environment: Environment,
) -> Results:
    """Return what the report tells, from runs, models' costs, audits of the images, and how all was set up.

    Raises UserError for runs tested on different images.
    """
    runs = aligned(runs)
    groups: dict[tuple[str, float], Group] = defaultdict(list)
    for run in runs:
        groups[run.model, run.fraction].append(run)
    largest = max(run.fraction for run in runs)
    names = list(dict.fromkeys(run.model for run in runs))
    full = {name: groups[name, largest] for name in names if (name, largest) in groups}
    clusters = clusters_of(runs[0].ids, runs[0].images, audits)
    models = [_model(name, group, costs[name], clusters) for name, group in full.items()]
    rivals = selection.rivals_among(models, design.baseline)
    values = {name: by_cluster(correct_of(group), clusters) for name, group in full.items()}
    pairs = pair_rows(values, rivals, design.margin, runs[0].folds or 0)
    fractions = _fractions(groups, names, clusters)
    few_labels = recommendation.few_labels(groups, list(full), clusters, rivals, design.margin)
    return Results(
        models=models,
        rivals=rivals,
        margin=design.margin,
        selection=selection.of_rivals(full, models, rivals, design.baseline),
        pairs=pairs,
        data_efficiency=fractions,
        agreement=Agreement(agreement.of_pairs(full), agreement.between_seeds(full), _galleries(full, rivals)),
        curve_fits=_curve_fits(groups, full, rivals),
        calibration=calibration.of_models(full),
        likelihood=calibration.of_rivals(full[rivals[0]], full[rivals[1]]) if rivals else None,
        robustness=robustness.of_models(full),
        under_damage=robustness.of_rivals(full, rivals, design.margin),
        inside=internals.of_models(full),
        time_to_accuracy=_time_to_accuracy(full),
        ledger=fairness.of_models(full, design.search),
        data=_data(runs, largest, audits, clusters),
        confusion={
            name: np.sum([run.scores["confusion"] for run in group], axis=0).tolist() for name, group in full.items()
        },
        per_class={
            name: [float(np.mean(recalls)) for recalls in zip(*(_recalls(run) for run in group), strict=True)]
            for name, group in full.items()
        },
        curves=[Curve(run.model, run.seed, run.curve) for run in runs if run.fraction == largest],
        training=_training(runs, costs, [name for name in names if name not in full], design),
        title=title,
        environment=environment,
        few_labels=few_labels,
        recommendations=recommendation.recommendations(models, pairs, few_labels, fractions, design.margin),
        explanations=explanations.of_models(full),
    )


def _fractions(groups: Mapping[tuple[str, float], Group], names: list[str], clusters: np.ndarray) -> list[FractionRow]:
    """Return a row a model and fraction, in the order of the models, and of the fractions."""
    ordered = sorted(groups.items(), key=lambda item: (names.index(item[0][0]), item[0][1]))
    return [
        FractionRow(name, fraction, images_of(group), _top1(group, clusters)) for (name, fraction), group in ordered
    ]


def _galleries(full: dict[str, Group], rivals: tuple[str, str] | None) -> Galleries | None:
    return agreement.galleries(full[rivals[0]], full[rivals[1]]) if rivals else None


def _curve_fits(
    groups: dict[tuple[str, float], Group], full: dict[str, Group], rivals: tuple[str, str] | None
) -> CurveFits | None:
    """Return the fitted curves of accuracy over training images, where every model has the same several fractions."""
    fractions = sorted({fraction for _, fraction in groups})
    if len(fractions) < 2 or any((name, fraction) not in groups for name in full for fraction in fractions):
        return None
    by_fraction = {name: [groups[name, fraction] for fraction in fractions] for name in full}
    counts = {tuple(images_of(group) for group in of_model) for of_model in by_fraction.values()}
    if len(counts) > 1:
        return None
    images = list(counts.pop())
    return data_efficiency.of_models(by_fraction, images, rivals)


def _time_to_accuracy(full: dict[str, Group]) -> TimeToAccuracy:
    """Return the highest validation accuracy that every training reached, and each model's mean way there."""
    level = min(max(run.curve["validation_top1"]) for group in full.values() for run in group)

    def first(run: Run, key: str) -> float:
        return run.curve[key][next(i for i, top1 in enumerate(run.curve["validation_top1"]) if top1 >= level)]

    def mean(group: Group, key: str) -> float:
        return float(np.mean([first(run, key) for run in group]))

    ways = [TimeToLevel(name, mean(group, "seconds"), mean(group, "images_seen")) for name, group in full.items()]
    return TimeToAccuracy(level, ways)


def _model(name: str, group: Group, cost: Cost, clusters: np.ndarray) -> ModelRow:
    summary = group[0].summary
    return ModelRow(
        name=name,
        family=cost["family"],
        architecture=summary["model"],
        parameters=summary["parameters"],
        macs=summary["macs"],
        top1=_top1(group, clusters),
        balanced_accuracy=mean_score(group, "balanced_accuracy"),
        macro_f1=mean_score(group, "macro_f1"),
        ece=mean_score(group, "ece"),
        nll=mean_score(group, "nll"),
        train_seconds=float(np.mean([run.summary["seconds"] for run in group])),
        latency_ms=cost["latency_ms"],
        latency_ms_low=cost["latency_ms_low"],
        latency_ms_high=cost["latency_ms_high"],
        images_per_second=cost["images_per_second"],
        images_per_second_low=cost["images_per_second_low"],
        images_per_second_high=cost["images_per_second_high"],
        train_images_per_second=cost["train_images_per_second"],
        train_images_per_second_low=cost["train_images_per_second_low"],
        train_images_per_second_high=cost["train_images_per_second_high"],
        peak_memory_bytes=_most([run.summary["peak_memory_bytes"] for run in group]),
        validation_top1=float(np.mean([run.summary["validation_top1"] for run in group])),
        precision=summary["precision"],
        timed_on=_timed_on(cost),
        model_bytes=cost["model_bytes"],
    )


def _timed_on(cost: Cost) -> TimedOn:
    return TimedOn(
        device=cost["device"],
        threads=cost["threads"],
        batch_size=cost["batch_size"],
        train_batch_size=cost["train_batch_size"],
        train_precision=cost.get("train_precision", "fp32"),
    )


def _top1(group: Group, clusters: np.ndarray) -> Accuracy:
    correct = correct_of(group)
    return Accuracy(**vars(accuracy(by_cluster(correct, clusters), folds_of(group))), seeds=correct.mean(1).tolist())


def _most(values: list[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return max(known) if known else None


def _recalls(run: Run) -> list[float]:
    return [row["recall"] for row in run.scores["per_class"]]


def _data(runs: list[Run], largest: float, audits: Sequence[Audit | Unaudited], clusters: np.ndarray) -> DataSet:
    run = next(run for run in runs if run.fraction == largest)
    return DataSet(
        name=run.recipe["data"]["name"],
        classes=[row["class"] for row in run.scores["per_class"]],
        training_images=run.summary["training_images"],
        validation_images=run.summary["validation_images"],
        test_images=len(run.labels),
        skipped=run.skipped,
        test_images_per_class=np.bincount(run.labels, minlength=len(run.scores["per_class"])).tolist(),
        audits=list(audits),
        test_clusters=int(clusters.max()) + 1,
    )


def _digest(run: Run) -> str:
    """Return the SHA-256 of the names and labels of the test images."""
    lines = (f"{name} {label}" for name, label in zip(run.ids, run.labels, strict=True))
    return sha256("\n".join(lines).encode(errors="surrogatepass")).hexdigest()


def _training(runs: list[Run], costs: Mapping[str, Cost], left_out: list[str], design: StudyDesign) -> TrainingFacts:
    return TrainingFacts(
        seeds=sorted({run.seed for run in runs}),
        fractions=sorted({run.fraction for run in runs}),
        runs=len(runs) * (runs[0].folds or 1),
        starts={run.model: run.summary.get("start") for run in runs},
        threads=sorted({run.summary["threads"] for run in runs}),
        machines=sorted({run.machine for run in runs}),
        hashes=Hashes(_digest(runs[0]), {name: cost["model_digest"] for name, cost in costs.items()}),
        left_out=left_out,
        **vars(replace(design, folds=runs[0].folds)),
    )
