"""What limits the verdict of a report, in words, strongest first."""

from ..pretrained.start import Start
from ..progress import clock
from . import literature
from .design import folds_caveat
from .formats import NAMES, margin, series
from .results import FairnessTable, Results
from .selection import first_pair
from .statistics import FIRM_SEEDS, MOST_SEEDS


def caveats(results: Results) -> list[str]:
    """Return what limits the verdict, strongest first."""
    return [*_stronger(results), *seed_caveats(results), *_weaker(results)]


def strongest_but_seeds(results: Results) -> list[str]:
    """Return the strongest caveat beside what too few seeds leave open, or nothing."""
    return [*_stronger(results), *_weaker(results)][:1]


def _stronger(results: Results) -> list[str]:
    """Return what weighs more than too few seeds."""
    return [
        *_more_than_models(results.ledger),
        *(
            f"{name} has no run on the largest fraction of the data, and is left out."
            for name in results.training.left_out
        ),
        *_late(results),
        *_leaks(results),
    ]


def _weaker(results: Results) -> list[str]:
    """Return what weighs less than too few seeds."""
    return [
        *_starts(results.ledger, results.training.starts),
        *_short_training(results),
        *_machines(results.training.machines),
        *_selection(results),
        *_power(results),
        *folds_caveat(results),
    ]


def seed_caveats(results: Results) -> list[str]:
    """Return what too few seeds leave open."""
    seeds = {model.name: len(model.top1.seeds) for model in results.models}
    lone = [name for name, count in seeds.items() if count == 1]
    two = [name for name, count in seeds.items() if count == 2]
    found = []
    if lone:
        of = "every model" if len(lone) == len(seeds) else series(lone)
        found.append(
            f"One seed of {of}: how much another training would differ is not known, so nothing is decided, and "
            "intervals are of the test images alone; a second seed would show the luck of trainings, a third gauge it."
        )
    if two:
        of = "every model" if len(two) == len(seeds) else series(two)
        found.append(
            f"Two seeds of {of} tell little of how much trainings differ: intervals are wide, and chance decides how "
            "wide; three seeds or more are advised."
        )
    return found


def _more_than_models(ledger: FairnessTable) -> list[str]:
    if ledger.only_models_differ:
        return []
    keys = [row.key for row in ledger.differences if not row.key.startswith("model.")]
    differ = f"{series(keys)} differ{'s' * (len(keys) == 1)}"
    return [f"Not a comparison of models alone, because {differ}: the difference may be theirs."]


def _machines(machines: list[str]) -> list[str]:
    return [f"The models were trained on different machines: {'; '.join(machines)}."] if len(machines) > 1 else []


def _selection(results: Results) -> list[str]:
    """Return how far ahead a model would seem that is no better than the others it was chosen from."""
    family = {model.name: model.family for model in results.models}
    return [
        f"{row.model} was the best of {row.among} {NAMES[family[row.model]]}s on validation, whose luck of "
        f"seeds it keeps on test: were all of them equal, it would seem {100 * row.bias:.1f} points better than "
        "it is."
        for row in results.selection
        if row.bias is not None and row.bias >= 0.0005
    ]


def _late(results: Results) -> list[str]:
    """Return what was left out so that the comparison ended in time."""
    design = results.training
    if not design.late or design.time_limit_seconds is None:
        return []
    return [f"Left out, to end within {clock(design.time_limit_seconds)}: {'; '.join(design.late)}."]


def _power(results: Results) -> list[str]:
    """Return what the test of the first pair can find, or what finding the margin takes where that is not known."""
    pair = first_pair(results) if results.rivals else None
    if pair is None or pair.needed is None:  # not tested
        return []
    between = f"between {pair.a} and {pair.b}"
    if pair.detectable is not None:
        return [
            f"A true difference of {100 * pair.detectable:.1f} points {between} would be found four times in five; "
            "smaller ones may go unnoticed."
        ]
    ways = []
    if pair.needed.seeds and pair.needed.seeds > min(pair.seeds):
        ways.append(f"{pair.needed.seeds} seeds of either on these test images")
    if pair.needed.images:
        ways.append(f"{_rounded(pair.needed.images):,} test images with these seeds")
    would_do = f"about {' or '.join(ways)} would do" if ways else f"not even {MOST_SEEDS} seeds would do"
    doubt = "" if min(pair.seeds) >= FIRM_SEEDS else ", as far as two seeds can tell"
    return [
        f"The seeds are too few to say how small a difference {between} would have been found. For one of "
        f"{margin(results.margin)}, four times in five, {would_do}{doubt}."
    ]


def _rounded(count: int) -> int:
    """Return a guess with two digits."""
    step = 10 ** max(0, len(str(count)) - 2)
    return -(-count // step) * step


def _leaks(results: Results) -> list[str]:
    """Return whose training images are tested on, copies of them included: such a model may only remember."""
    found = []
    for audit in results.data.audits:
        if audit.leaks:
            images = f"{audit.leaks:,} test image{'s are' if audit.leaks > 1 else ' is'}"
            found.append(f"{images} among the training images of {series(audit.models)}: accuracy there may be memory.")
    return found


def _short_training(results: Results) -> list[str]:
    """Return that the models learned for a much shorter time than others took on the same data set."""
    published = [mark.epochs for mark in literature.marks(results)]
    epochs = max(results.ledger.row("epochs").values.values())
    if not published or 2 * epochs > min(published):
        return []
    images = results.data.training_images
    return [
        f"Trained for {epochs} epochs on {images:,} images, where published trainings on this data set take "
        f"{min(published)} to {max(published)}: a longer training may change the order."
    ]


def _starts(ledger: FairnessTable, starts: dict[str, Start | None]) -> list[str]:
    """Return what the models' pretrained weights leave unequal: who had them, whose they were, what began fresh."""
    found = []
    pretrained = {row.key: row.values for row in ledger.differences}.get("model.pretrained")
    if pretrained and all(pretrained.values()):
        found.append(
            "The models started from different pretrained weights: what these had seen is part of the difference."
        )
    elif pretrained:
        found.append("Some models started from pretrained weights and others did not.")
    found += [
        f"{name} started from {start.in_words()}." for name, start in starts.items() if start and start.fresh_parts
    ]
    return found
