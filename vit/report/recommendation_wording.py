"""A recommendation in words: for which aim, what to take, and why; all from the fields that decide it."""

from dataclasses import dataclass

from .formats import decimals_for, margin, milliseconds, of_rounds, ratio, series
from .recommendation import TENTH, few_label_accuracies
from .results import Aim, ModelRow, Pace, Pair, Recommendation, Results
from .selection import first_pair
from .statistics import FIRM_SEEDS
from .wording import apart

AIMS: dict[Aim, str] = {
    "most_accurate": "Most accurate",
    "as_accurate_and_fastest": "As accurate, and fastest",
    "few_labels": "Best with a tenth of the labels",
}
MOST_NAMED = 5


@dataclass(frozen=True)
class Advice:
    """The words of a recommendation; `decided` where tests stand behind it."""

    aim: str
    take: str
    reason: str
    decided: bool


def advice(results: Results) -> list[Advice]:
    """Return the words of every recommendation, in their order."""
    return [
        Advice(_aim(row, results), _take(row), " ".join(_reason(row, results)), row.ground in ("ahead", "as_good"))
        for row in results.recommendations
    ]


def _aim(row: Recommendation, results: Results) -> str:
    few, images = results.few_labels, results.data.training_images
    if row.aim != "few_labels" or few is None:
        return AIMS[row.aim]
    share = "a tenth" if round(few.images / images, 2) == TENTH else "about a tenth"
    return f"Best with {share} of the labels ({few.images:,} of {images:,})"


def _take(row: Recommendation) -> str:
    match row.ground:
        case "not_tested":
            return "Not decided"
        case "not_measured":
            return "Not measured"
        case "ahead":
            return str(row.model)
        case "not_known":
            return f"Not known: {_cheapest(row)}" if row.model else "Not known"
        case "as_good" if row.model and (row.aim == "as_accurate_and_fastest" or len(row.among) == 1):
            return _either(row)
        case "as_good":
            return f"No difference: {_cheapest(row)}" if row.model else "No difference"


def _cheapest(row: Recommendation) -> str:
    """Return what to take where accuracy does not decide."""
    if row.pace is None:
        return f"{row.model} is ahead so far"
    if _equally_cheap(row.pace):
        return f"take {_either(row)}"
    return f"take the {'cheaper' if len(row.among) == 2 else 'cheapest'}, {row.model}"


def _either(row: Recommendation) -> str:
    return f"{row.model} or {row.pace.model}" if row.pace and _equally_cheap(row.pace) else str(row.model)


def _equally_cheap(pace: Pace) -> bool:
    """Return whether rounds tell two models apart neither when they answer nor when they train."""
    return pace.answers.low <= 1 and pace.trains.low <= 1


def _reason(row: Recommendation, results: Results) -> list[str]:
    match row.ground:
        case "not_measured":
            return ["No fraction near it was trained on; fractions=[0.1,1.0] asks for one."]
        case "not_tested":
            return [_one_seed(row, results)]
        case "not_known":
            told = _not_known(row, results)
        case "as_good":
            told = _as_good(row, results)
        case "ahead" if row.aim == "as_accurate_and_fastest":
            told = [f"No other is known to be as accurate within {_within(results)}.", *_faster(row, results)]
        case "ahead":
            told = [_ahead(row, results)]
    return [*told, *_untested(row)]


def _one_seed(row: Recommendation, results: Results) -> str:
    first = results.recommendations[0]
    if row != first and first.ground == "not_tested":
        return "Not with one seed either." if row.aim == "few_labels" else "Which are as accurate is not decided."
    return (
        f"One seed decides nothing: another training may turn the order. Three of each can decide: seeds={FIRM_SEEDS}."
    )


def _ahead(row: Recommendation, results: Results) -> str:
    """Return how far ahead of the next a model is that was found more accurate than all others."""
    pair = row.beside
    assert pair is not None and row.model is not None
    next_one = _other(pair, row.model)
    of_all = f"every other model, and than {next_one}, the next," if _tests(row, results) > 1 else next_one
    least = _within(results)
    how = {"better_by_more": f" by more than {least}", "better_by_less": f", though by less than {least}"}
    left_open = f"; whether by more than {least} is not known" * (pair.verdict == "better")
    return f"More accurate than {of_all}{how.get(pair.verdict, '')}: {_difference(row, results)}{left_open}."


def _as_good(row: Recommendation, results: Results) -> list[str]:
    fastest, first = row.aim == "as_accurate_and_fastest", results.recommendations[0]
    if fastest and row.among == first.among and len(row.among) > 1:
        return [
            f"The same models are as accurate as the best within {_within(results)}, so the choice is the same.",
            *_faster(row, results),
        ]
    told = [f"As accurate as the best within {_within(results)}: {_named(row.among)}; so the cost decides."]
    if len(row.among) == 1:
        told = [f"{row.among[0]} is as accurate as the best within {_within(results)}, whichever that is."]
    if row.undecided:
        were = "was" if len(row.undecided) == 1 else "were"
        told.append(f"{_named(row.undecided)} {were} not told from the best either, and may be more or less accurate.")
    told += _cheaper(row, results)
    pair = row.beside
    if fastest and pair and row.model and _sign(row, pair) * pair.difference < 0 and pair != first_pair(results):
        told.append(f"Beside {_other(pair, row.model)} it is {_difference(row, results)}.")
    return [*told, *_faster(row, results)]


def _not_known(row: Recommendation, results: Results) -> list[str]:
    if row.aim == "as_accurate_and_fastest":
        best = f"the best within {_within(results)}"
        return [f"Which are as accurate as {best} is not known, so the choice is the same."]
    unknown = _named([*row.among, *row.undecided], "or")
    told, close = f"These images and seeds cannot tell whether {unknown} is the most accurate", margin(results.margin)
    if len(row.among) == 1:
        return [f"{told}; all but {row.among[0]} were measured more than {close} below the highest."]
    if row.undecided:
        told += f"; the cost may decide among {_named(row.among)}, measured within {close} of the highest."
    else:
        told += "; until more do, the cost may decide."
    return [told, *_cheaper(row, results)]


def _cheaper(row: Recommendation, results: Results) -> list[str]:
    """Return what makes a model the cheapest among others, or that nothing tells."""
    if row.model is None:
        return ["Which is cheaper is not known: they were timed on different devices."]
    pace = row.pace
    if pace is None:
        return []
    models = {model.name: model for model in results.models}
    own, other = models[row.model], models[pace.model]
    latency = _latency(own), _latency(other)
    if pace.answers.low > 1:
        next_one = f"{other.name}, the next fastest" if len(row.among) > 2 else other.name
        faster = f"{own.name} answers {ratio(pace.answers.ratio)} times as fast as {next_one}"
        return [f"{faster}: in {' against '.join(latency)} ms."]
    overlap = f"The latencies of {own.name} and {other.name} overlap ({' and '.join(latency)} ms)"
    if _equally_cheap(pace):
        return [f"{overlap}, and so do their training speeds: either will do."]
    return [f"{overlap}; {own.name} trains {ratio(pace.trains.ratio)} times as fast."]


def _faster(row: Recommendation, results: Results) -> list[str]:
    if not row.faster:
        return []
    answers, it_is = ("answers", "it is") if len(row.faster) == 1 else ("answer", "they are")
    return [f"{_named(row.faster)} {answers} sooner; that {it_is} as accurate within {_within(results)} is not known."]


def _untested(row: Recommendation) -> list[str]:
    have = "has" if len(row.untested) == 1 else "have"
    return [f"Left out, because untested: {_named(row.untested)} {have} one seed."] if row.untested else []


def _difference(row: Recommendation, results: Results) -> str:
    """Return how far a model is from the most accurate other one."""
    pair = row.beside
    assert pair is not None
    top1 = _accuracies(row, results)
    return apart(pair, _sign(row, pair), decimals_for(top1[pair.a], top1[pair.b]), _tests(row, results))


def _accuracies(row: Recommendation, results: Results) -> dict[str, float]:
    few = results.few_labels
    if row.aim == "few_labels" and few:
        return {name: top1.mean for name, top1 in few_label_accuracies(few, results.data_efficiency).items()}
    return {model.name: model.top1.mean for model in results.models}


def _tests(row: Recommendation, results: Results) -> int:
    """Return how many pairs were tested together."""
    few = results.few_labels
    pairs = few.pairs if row.aim == "few_labels" and few else results.pairs
    return sum(pair.verdict != "not_tested" for pair in pairs)


def _sign(row: Recommendation, pair: Pair) -> int:
    return 1 if pair.a == row.model else -1


def _other(pair: Pair, model: str) -> str:
    return pair.b if pair.a == model else pair.a


def _within(results: Results) -> str:
    return f"the margin of {margin(results.margin)}"


def _latency(model: ModelRow) -> str:
    return of_rounds(milliseconds, model.latency_ms, model.latency_ms_low, model.latency_ms_high)


def _named(names: list[str], last: str = "and") -> str:
    """Return names, the first few of many."""
    few = names if len(names) <= MOST_NAMED else [*names[: MOST_NAMED - 1], f"{len(names) - MOST_NAMED + 1} more"]
    return series(few, last)
