"""Models, pairs and results made by hand, no two of their numbers the same where one could stand for another."""

from dataclasses import replace
from typing import Any

from vit.report.results import (
    Accuracy,
    Agreement,
    DataSet,
    Environment,
    FairnessRow,
    FairnessTable,
    Family,
    Hashes,
    ModelRow,
    Outcome,
    Pair,
    Results,
    TimedOn,
    TimeToAccuracy,
    TrainingFacts,
)
from vit.report.statistics import Needed


def model(name: str, family: Family, top1: float, seeds: int = 3) -> ModelRow:
    """Return a model of an accuracy, with numbers of which no two are the same where one could stand for another."""
    return ModelRow(
        name=name,
        family=family,
        architecture=name,
        parameters=1_000,
        macs=2_000,
        top1=Accuracy(top1, top1 - 0.01, top1 + 0.01, 0.004 if seeds > 1 else None, [top1] * seeds),
        balanced_accuracy=0.7,
        macro_f1=0.71,
        ece=0.02,
        nll=0.3,
        train_seconds=12.0,
        latency_ms=3.14,
        latency_ms_low=2.83,
        latency_ms_high=3.77,
        images_per_second=900.0,
        images_per_second_low=800.0,
        images_per_second_high=950.0,
        train_images_per_second=210.0,
        train_images_per_second_low=189.0,
        train_images_per_second_high=252.0,
        peak_memory_bytes=500_000_000,
        validation_top1=top1,
        precision="fp32",
        timed_on=TimedOn("cpu", threads=2, batch_size=32, train_batch_size=64, train_precision="fp32"),
    )


def pair(a: str, b: str, outcome: Outcome, difference: float, winner: str | None = None, **more: Any) -> Pair:
    row = Pair(
        a=a,
        b=b,
        difference=difference,
        seeds=(3, 3),
        verdict=outcome,
        winner=winner,
        low=difference - 0.011,
        high=difference + 0.013,
        level=0.05,
        p_value=0.0123,
        p_adjusted=0.0154,
        detectable=0.021,
        needed=Needed(seeds=7, images=5_432),
    )
    return replace(row, **(UNTESTED if outcome == "not_tested" else {}), **more)


UNTESTED: dict[str, Any] = {"p_value": None, "p_adjusted": None, "detectable": None, "needed": None}
EPOCHS = FairnessRow("epochs", {"net": 20, "trans": 20}, ratio=1.0, matched=True)
MATCHED = FairnessTable(rows=[EPOCHS], differences=[], matched={}, only_models_differ=True)
TRAINING = TrainingFacts(
    seeds=[0, 1, 2],
    fractions=[1.0],
    runs=6,
    starts={},
    threads=[1],
    machines=["this one"],
    hashes=Hashes("", {}),
    left_out=[],
    protocol="same_recipe",
    search=None,
    margin=0.01,
    quick=False,
    resampled=False,
)
DATA = DataSet(
    name="digits",
    classes=["0", "1"],
    training_images=1_000,
    validation_images=100,
    test_images=450,
    skipped=[],
    test_images_per_class=[225, 225],
    audits=[],
    test_clusters=450,
)


def results(*pairs: Pair, seeds: int = 3, **more: Any) -> Results:
    models = more.pop("models", [model("net", "cnn", 0.8432, seeds), model("trans", "vit", 0.8101, seeds)])
    found = Results(
        models=models,
        rivals=("trans", "net") if len(models) > 1 else None,
        margin=0.01,
        selection=[],
        pairs=list(pairs),
        data_efficiency=[],
        agreement=Agreement([], {}, None),
        curve_fits=None,
        calibration=[],
        likelihood=None,
        robustness=[],
        under_damage=None,
        inside=[],
        time_to_accuracy=TimeToAccuracy(0.8, []),
        ledger=MATCHED,
        data=DATA,
        confusion={},
        per_class={},
        curves=[],
        training=TRAINING,
        title="two",
        environment=Environment("", "", "", 2, [], "", "", {}),
    )
    return replace(found, **more)
