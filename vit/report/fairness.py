"""What every model was given: matched or not, by topic and by setting. A difference not matched may be the winner."""

from collections.abc import Callable
from typing import Any, Final

from ..recipe import ONLY_WHERE
from ..recipe.values import flattened
from .results import FairnessRow, FairnessTable, Search, SettingDifference
from .runs import Group, Run, folds_of

MATCHED_WITHIN = 1.1  # largest over smallest
SEARCHED = {"optimizer.lr", "optimizer.weight_decay"}  # by own_recipe
NUMBERS: Final = ("parameters", "macs", "images_seen", "epochs", "training_images")
TOPICS: dict[str, Callable[[Run], Any]] = {
    "precision": lambda run: run.summary["precision"],
    "resolution": lambda run: " x ".join(map(str, run.recipe["data"]["image_size"])),
    "resampling_filter": lambda run: run.recipe["data"].get("interpolation") or "as the weights, or bicubic",
    "augmentation": lambda run: _plain(run.recipe["augment"]),
    "mixing": lambda run: _plain(run.recipe["mixing"]),
    "optimizer": lambda run: _plain(run.recipe["optimizer"]),
    "schedule": lambda run: _plain(run.recipe["schedule"]),
    "pretrained_weights": lambda run: start.in_words() if (start := run.summary.get("start")) else "none",
    "weight_averaging": lambda run: run.recipe["training"].get("ema_decay") or "none",
}


def of_models(full: dict[str, Group], search: Search | None) -> FairnessTable:
    """Return the rows of the table, and the settings that are equal and that differ, by dotted key.

    Seeds and fraction vary by design, and so does what `search` looked for, each model's own recipe.
    """
    flat = {name: flattened(group[0].recipe) for name, group in full.items()}
    keys = list(dict.fromkeys(key for values in flat.values() for key in values))
    by_design = {"training.seed", "data.fraction"} | ONLY_WHERE | (SEARCHED if search else set())
    if all(values.get("data.resample_seed") == values.get("training.seed") for values in flat.values()):
        by_design |= {"data.resample_seed"}  # with the seed; where a model alone has it, it is a difference
    keys = [key for key in keys if key not in by_design]
    differences = [
        SettingDifference(key, {name: values.get(key) for name, values in flat.items()})
        for key in keys
        if len({repr(values.get(key)) for values in flat.values()}) > 1
    ]
    differing = {row.key for row in differences}
    first = next(iter(flat.values()))
    return FairnessTable(
        rows=[
            *_numbers(full),
            *_topics(full),
            _row("seeds", {name: _seeds(group) for name, group in full.items()}),
            *_folds(full),
            _row("tuning", {name: _tuning(search) for name in full}),
        ],
        differences=differences,
        matched={key: first[key] for key in keys if key not in differing},
        only_models_differ=not [key for key in differing if not key.startswith("model.")],
    )


def _numbers(full: dict[str, Group]) -> list[FairnessRow]:
    """Return how much every model had, and how far apart they are: largest over smallest."""
    rows = []
    for key in NUMBERS:
        values = {name: group[0].summary[key] for name, group in full.items()}
        ratio = max(values.values()) / max(1, min(values.values()))
        rows.append(FairnessRow(key, dict(values), ratio, matched=ratio <= MATCHED_WITHIN))
    return rows


def _topics(full: dict[str, Group]) -> list[FairnessRow]:
    return [_row(key, {name: of(group[0]) for name, group in full.items()}) for key, of in TOPICS.items()]


def _row(key: str, values: dict[str, Any]) -> FairnessRow:
    return FairnessRow(key, values, None, matched=len({repr(value) for value in values.values()}) == 1)


def _seeds(group: Group) -> str:
    return ", ".join(str(run.seed) for run in group)


def _folds(full: dict[str, Group]) -> list[FairnessRow]:
    """Return the row of the folds, where images were tested by any."""
    counts = {name: folds_of(group) for name, group in full.items()}
    return [_row("folds", {name: f"{count}: every image tested once" for name, count in counts.items()})] * any(
        counts.values()
    )


def _tuning(search: Search | None) -> str:
    return f"{search.trials} trials of learning rate and weight decay" if search else "none: settings as written"


def _plain(value: Any) -> str:
    """Return settings as a reader would say them: "affine degrees 6 shift 0.05, horizontal_flip"."""
    if isinstance(value, dict):
        return " ".join(f"{key} {_plain(inner)}".strip() for key, inner in value.items() if inner is not None)
    if isinstance(value, list | tuple):
        parts = [_plain(inner) for inner in value]
        return (", " if any(isinstance(inner, dict) for inner in value) else " to ").join(parts) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
