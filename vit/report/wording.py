"""The sentences of the report: its verdict and what else was found, from the fields that decide them."""

from .caveats import seed_caveats, strongest_but_seeds
from .formats import NAMES, decimals_for, equals, interval, margin, p_value, percent, points, series
from .results import ModelRow, Pair, Results
from .selection import first_pair


def verdict(results: Results) -> list[str]:
    """Return the report's first sentences: accuracy, what the seeds leave open, and the strongest caveat."""
    rivals = rivals_of(results)
    of_seeds = seed_caveats(results)
    strongest = strongest_but_seeds(results)
    if not rivals:
        model = results.models[0]
        reached = f"{model.name} reaches {percent(model.top1.mean)} {interval(model.top1)} on test."
        return [reached, *of_seeds, *strongest]
    return [accuracy_sentence(results), *of_seeds, *strongest]


def findings(results: Results) -> list[str]:
    """Return what else is worth knowing before one decides: other pairs, little data, more data, changed images."""
    rivals = rivals_of(results)
    if not rivals:
        return []
    return [
        *_other_pairs(results),
        *_little_data(results, *rivals),
        *_more_data(results, *rivals),
        *_under_damage(results),
        *_likelihood(results),
    ]


def rivals_of(results: Results) -> list[ModelRow]:
    """Return the two models that the verdict is about, or none where there is but one."""
    models = {model.name: model for model in results.models}
    return [models[name] for name in results.rivals or ()]


def accuracy_sentence(results: Results) -> str:
    pair = first_pair(results)
    models = {model.name: model for model in results.models}
    a, b = models[pair.a], models[pair.b]
    decimals = decimals_for(a.top1.mean, b.top1.mean)
    called = [f"the {NAMES[m.family]} {m.name} ({percent(m.top1.mean, decimals)})" for m in (a, b)]
    tests = sum(other.verdict != "not_tested" for other in results.pairs)
    return _capital(decided(pair, called, results.margin, decimals, tests))


def decided(pair: Pair, called: list[str], least: float, decimals: int = 1, tests: int = 1) -> str:
    """Return the sentence of what is decided between a and b, called so; `least` is the margin, of so many `tests`."""
    sign = 1 if pair.difference >= 0 else -1
    ahead, behind = called[::sign]
    numbers = apart(pair, sign, decimals, tests)
    match pair.verdict:
        case "better_by_more":
            return f"{ahead} is more accurate than {behind}, by more than the margin of {margin(least)}: {numbers}."
        case "better_by_less":
            return f"{ahead} is more accurate than {behind}, but by less than the margin of {margin(least)}: {numbers}."
        case "better":
            left_open = f"whether by more than the margin of {margin(least)} is not known"
            return f"{ahead} is more accurate than {behind}: {numbers}; {left_open}."
        case "as_good":
            return f"{ahead} and {behind} are as good within the margin of {margin(least)}: {numbers}."
        case "not_known":
            return f"whether {ahead} or {behind} is more accurate is not known: {numbers}."
    more = f"{ahead} was right more often than {behind}" if pair.difference else f"{ahead} and {behind} tied"
    return f"{more} in these trainings, which decides nothing: {numbers}."


def apart(pair: Pair, sign: int, decimals: int = 1, tests: int = 1) -> str:
    """Return the difference as seen from a, or from b where `sign` is −1, with its interval and p-values."""
    low, high = sorted((sign * pair.low, sign * pair.high))
    numbers = f"{points(sign * pair.difference, decimals)} points [{points(low, decimals)}, {points(high, decimals)}]"
    if pair.p_value is None:  # not tested
        return f"{numbers} (95 % interval over test images alone)"
    told = f"{numbers} ({100 * (1 - pair.level):.4g} % interval)"
    if pair.verdict == "as_good":
        return f"{told}, by two one-sided tests"
    told += f", p {equals(pair.p_value)}"
    return told + (f" ({p_value(pair.p_adjusted)} adjusted for {tests} tests)" if tests > 1 else "")


def _other_pairs(results: Results) -> list[str]:
    """Return what is decided of the pairs that the first sentence is not about."""
    others = [pair for pair in results.pairs if {pair.a, pair.b} != set(results.rivals or ())]
    if not others:
        return []
    found = [pair for pair in others if pair.winner]
    alike = [f"{pair.a} and {pair.b}" for pair in others if pair.verdict == "as_good"]
    untested = sum(pair.verdict == "not_tested" for pair in others)
    told = [f"{pair.winner} is more accurate than {_loser(pair)}{_size(pair)}" for pair in found[:4]]
    told += [f"{len(found) - 4} more are told apart"] if len(found) > 4 else []
    told += [f"as good within the margin are {series(alike[:4])}"] if alike else []
    told += [f"{untested} cannot be tested with one seed"] if untested else []
    unknown = len(others) - len(found) - len(alike) - untested
    told += [f"of {unknown} it is not known" if told else "of none it is known which model is more accurate"] * (
        unknown > 0
    )
    return [f"Of the {len(others)} other pair{'s' * (len(others) > 1)} of models: {'; '.join(told)}."]


def _loser(pair: Pair) -> str:
    return pair.b if pair.winner == pair.a else pair.a


def _size(pair: Pair) -> str:
    return {"better_by_more": " by more than the margin", "better_by_less": " by less than the margin"}.get(
        pair.verdict, ""
    )


def _little_data(results: Results, a: ModelRow, b: ModelRow) -> list[str]:
    rows = {(row.model, row.fraction): row for row in results.data_efficiency}
    smallest = min(results.training.fractions)
    if smallest == max(results.training.fractions) or (a.name, smallest) not in rows:
        return []
    if results.few_labels and results.few_labels.fraction == smallest:  # told in the table
        return []
    few = [rows[model.name, smallest] for model in (a, b) if (model.name, smallest) in rows]
    told = " and ".join(f"{row.model} {percent(row.top1.mean)} {interval(row.top1)}" for row in few)
    return [f"With {few[0].images:,} training images instead of {results.data.training_images:,}: {told}."]


def _more_data(results: Results, a: ModelRow, b: ModelRow) -> list[str]:
    """Return what twice the images would bring the better model, where that is earned, or why it is not told."""
    if not results.curve_fits:
        return []
    best = max(a, b, key=lambda model: model.top1.mean).name
    row = next(row for row in results.curve_fits.fits if row.model == best)
    gain, pair = row.twice, first_pair(results)
    if not gain:
        return [f"What twice the training images would bring {best} is not predicted: {row.reason}."]
    told = f"Twice the training images would bring {best} {points(gain.gain)} points {interval(gain, points)}"
    least, most = sorted((abs(pair.low), abs(pair.high)))
    if gain.low > most:
        told += ", more than lies between the two models"
    elif gain.high < least and pair.low * pair.high > 0:
        told += ", less than lies between the two models"
    return [f"{told}, by a fitted curve that foretold the last fraction."]


def _under_damage(results: Results) -> list[str]:
    """Return how accurate both are on damaged images, and then which share of their accuracy that is."""
    pair = results.under_damage
    if not pair:
        return []
    rows = {row.model: row for row in results.robustness}
    a, b = rows[pair.a], rows[pair.b]
    decimals = decimals_for(a.corrupted.mean, b.corrupted.mean)
    called = [f"{row.model} ({percent(row.corrupted.mean, decimals)})" for row in (a, b)]
    kept = series([f"{row.model} {percent(row.kept.mean)} {interval(row.kept)}" for row in (a, b)])
    return [
        f"On {a.images:,} test images under noise, blur, weather and digital damage: "
        f"{decided(pair, called, results.margin, decimals)} Of their accuracy on the same images unchanged, "
        f"that leaves: {kept}."
    ]


def _likelihood(results: Results) -> list[str]:
    """Return whose probabilities fit the test labels better, where a paired test tells."""
    found = results.likelihood.nll if results.likelihood else None
    if not results.rivals or not found or found.p_value is None or not (found.low > 0 or found.high < 0):
        return []
    a, b = results.rivals
    better = a if found.difference < 0 else b
    low, high = sorted((abs(found.low), abs(found.high)))
    return [
        f"The probabilities of {better} fit the test labels better: its negative log-likelihood is lower by "
        f"{abs(found.difference):.3f} [{low:.3f}, {high:.3f}] (95 % interval), p {equals(found.p_value)}."
    ]


def _capital(words: str) -> str:
    return words[0].upper() + words[1:]
