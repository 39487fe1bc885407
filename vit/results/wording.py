"""Numbers in words: how the report writes them, and the sentences of its verdict."""

from typing import Any

from . import literature
from .comparison import NO_DIFFERENCE

LATEX = str.maketrans(
    {mark: f"\\{mark}" for mark in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "−": "--", "–": "--"}
    | dict.fromkeys("\n\r\t\v\f\x1c\x1d\x1e\x85\u2028\u2029", " ")
)
NAMES = {"vit": "ViT", "cnn": "CNN"}


def percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def points(value: float) -> str:
    return f"{round(100 * value, 1) + 0.0:+.1f}".replace("-", "−")  # + 0.0: no negative zero


def p_value(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def amount(value: float) -> str:
    """Return 5826048 as 5.83 M, and 1234 as 1,234."""
    for unit, size in (("G", 1e9), ("M", 1e6)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def interval(estimate: dict[str, Any], form: Any = percent) -> str:
    return f"[{form(estimate['low'])}, {form(estimate['high'])}]"


def setting(value: Any) -> str:
    """Return a recipe's value as its YAML would show it."""
    if value is None:
        return "–"
    if isinstance(value, bool | str):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def latex(text: str) -> str:
    return text.translate(LATEX)


def budget(value: Any) -> str:
    return value if isinstance(value, str) else amount(value)


def words(key: str) -> str:
    """Return `images_seen` as "images seen"."""
    return key.replace("macs", "multiply-accumulates").replace("_", " ")


def verdict(results: dict[str, Any]) -> list[str]:
    """Return the report's first sentences: accuracy, cost, and the strongest caveat."""
    rivals, strongest = _rivals(results), caveats(results)[:1]
    if not rivals:
        model = results["models"][0]
        return [
            f"{model['name']} reaches {percent(model['top1']['mean'])} {interval(model['top1'])} on test.",
            *strongest,
        ]
    return [_accuracy_sentence(results, *rivals), _cost_sentence(*rivals), *strongest]


def findings(results: dict[str, Any]) -> list[str]:
    """Return what else is worth knowing before one decides: other pairs, little data, more data, changed images."""
    rivals = _rivals(results)
    if not rivals:
        return []
    return [
        *_other_pairs(results),
        *_little_data(results, *rivals),
        *_more_data(results, *rivals),
        *_changed_images(results, *rivals),
    ]


def _rivals(results: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the two models that the verdict is about, or none where there is but one."""
    models = {model["name"]: model for model in results["models"]}
    return [models[name] for name in results["rivals"] or ()]


def caveats(results: dict[str, Any]) -> list[str]:
    """Return what limits the verdict, strongest first."""
    found = []
    ledger = results["ledger"]
    fewest = min(len(model["top1"]["seeds"]) for model in results["models"])
    if not ledger["only_models_differ"]:
        keys = [row["key"] for row in ledger["differences"] if not row["key"].startswith("model.")]
        differ = f"{_series(keys)} differ{'s' * (len(keys) == 1)}"
        found.append(f"Not a comparison of models alone, because {differ}: the difference may be theirs.")
    found += [
        f"{name} has no run on the largest fraction of the data, and is left out."
        for name in results["training"]["left_out"]
    ]
    found += _leaks(results)
    if fewest == 1:
        found.append(
            "One seed only: how much a second training would differ is not known, so intervals are too narrow."
        )
    found += _starts(ledger, results["training"].get("starts", {}))
    found += _short_training(results)
    if len(results["training"]["machines"]) > 1:
        found.append(f"The models were trained on different machines: {'; '.join(results['training']['machines'])}.")
    if results["pairs"]:
        detectable = max(pair["detectable"] for pair in results["pairs"])
        images = results["data"]["test_images"]
        found.append(
            f"With {images:,} test images and {fewest} seed{'s' * (fewest > 1)} a model, a true difference of "
            f"{100 * detectable:.1f} points would be found four times in five; smaller ones may go unnoticed."
        )
    return found


def _leaks(results: dict[str, Any]) -> list[str]:
    """Return whose training images are tested on, copies of them included: such a model may only remember."""
    found = []
    for audit in results["data"]["audits"]:
        if audit["leaks"]:
            count = audit["leaks"]
            images = f"{count:,} test image{'s are' if count > 1 else ' is'}"
            found.append(
                f"{images} among the training images of {_series(audit['models'])}: accuracy there may be memory."
            )
    return found


def _short_training(results: dict[str, Any]) -> list[str]:
    """Return that the models learned for a much shorter time than others took on the same data set."""
    published = [mark["epochs"] for mark in literature.marks(results)]
    epochs = [max(row["values"].values()) for row in results["ledger"]["rows"] if row["key"] == "epochs"]
    if not published or not epochs or 2 * epochs[0] > min(published):
        return []
    images = results["data"]["training_images"]
    return [
        f"Trained for {epochs[0]} epochs on {images:,} images, where published trainings on this data set take "
        f"{min(published)} to {max(published)}: a longer training may change the order."
    ]


def _series(words: list[str]) -> str:
    """Return ["a", "b", "c"] as "a, b and c"."""
    return " and ".join([", ".join(words[:-1])] * (len(words) > 1) + words[-1:])


def _starts(ledger: dict[str, Any], starts: dict[str, str | None]) -> list[str]:
    """Return what the models' pretrained weights leave unequal: who had them, whose they were, what began fresh."""
    found = []
    pretrained = {row["key"]: row["values"] for row in ledger["differences"]}.get("model.pretrained")
    if pretrained and all(pretrained.values()):
        found.append(
            "The models started from different pretrained weights: what these had seen is part of the difference."
        )
    elif pretrained:
        found.append("Some models started from pretrained weights and others did not.")
    found += [f"{name} started from {start}." for name, start in starts.items() if start and "start fresh" in start]
    return found


def _accuracy_sentence(results: dict[str, Any], a: dict[str, Any], b: dict[str, Any]) -> str:
    pair = next(p for p in results["pairs"] if {p["a"], p["b"]} == {a["name"], b["name"]})
    count = len(results["pairs"])
    ahead, behind = (a, b) if a["top1"]["mean"] >= b["top1"]["mean"] else (b, a)
    sign = 1 if pair["a"] == ahead["name"] else -1
    low, high = sorted((sign * pair["low"], sign * pair["high"]))
    tested = f"p {_equals(pair['p_adjusted'])}" + (f", adjusted for {count} pairs" if count > 1 else "")
    difference = f"{points(sign * pair['difference'])} points [{points(low)}, {points(high)}], {tested}"
    if pair["verdict"] != NO_DIFFERENCE:
        return f"{_called(ahead)} is more accurate than {_called(behind)}: {difference}."
    if low > 0 or high < 0:
        difference += " (the interval is that of this pair alone)"
    return f"No detectable difference in accuracy between {_called(ahead)} and {_called(behind)}: {difference}."


def _other_pairs(results: dict[str, Any]) -> list[str]:
    """Return what the test found over all pairs, where there are more than the one of the first sentence."""
    pairs = results["pairs"]
    found = [pair for pair in pairs if pair["verdict"] != NO_DIFFERENCE]
    if len(pairs) < 2:
        return []
    if not found:
        return [f"None of the {len(pairs)} pairs of models differs detectably."]
    told = "; ".join(pair["verdict"].replace("is more accurate", _than(pair)) for pair in found[:4])
    more = f"; and {len(found) - 4} more" if len(found) > 4 else ""
    return [f"Of the {len(pairs)} pairs of models, {len(found)} differ detectably: {told}{more}."]


def _than(pair: dict[str, Any]) -> str:
    loser = pair["b"] if pair["difference"] > 0 else pair["a"]
    return f"over {loser}"


def _equals(value: float) -> str:
    text = p_value(value)
    return text if text.startswith("<") else f"= {text}"


def _cost_sentence(a: dict[str, Any], b: dict[str, Any]) -> str:
    device = a["timed_on"]["device"]
    threads = f", {a['timed_on']['threads']} threads" if device == "cpu" else ""
    told = "; ".join(
        f"{model['name']} answers one image in {model['latency_ms']:.2g} ms, trains at "
        f"{amount(model['train_images_per_second'])} images/s and takes {memory(model['peak_memory_bytes'])} for it"
        for model in (a, b)
    )
    return f"On this machine ({device}{threads}) {told}."


def _little_data(results: dict[str, Any], a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    rows = {(row["model"], row["fraction"]): row for row in results["data_efficiency"]}
    smallest = min(results["training"]["fractions"])
    if smallest == max(results["training"]["fractions"]) or (a["name"], smallest) not in rows:
        return []
    few = [rows[model["name"], smallest] for model in (a, b) if (model["name"], smallest) in rows]
    told = " and ".join(f"{row['model']} {percent(row['top1']['mean'])} {interval(row['top1'])}" for row in few)
    return [f"With {few[0]['images']:,} training images instead of {results['data']['training_images']:,}: {told}."]


def _more_data(results: dict[str, Any], a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    """Return whether twice the labels would bring more than the other model, where curves were fitted."""
    if not results["curve_fits"]:
        return []
    best = max(a, b, key=lambda model: model["top1"]["mean"])
    gain = next(row["twice"] for row in results["curve_fits"]["fits"] if row["model"] == best["name"])
    between = abs(a["top1"]["mean"] - b["top1"]["mean"])
    than = "more" if gain["gain"] > between else "less"
    return [
        f"Twice the training images would bring {best['name']} about {points(gain['gain'])} points "
        f"{interval(gain, points)}, by a fitted curve; that is {than} than the {100 * between:.1f} points "
        "between the two models."
    ]


def _changed_images(results: dict[str, Any], a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    rows = {row["model"]: row for row in results["robustness"]}
    if a["name"] not in rows or b["name"] not in rows:
        return []
    told = " and ".join(f"{m['name']} {percent(rows[m['name']]['kept'])}" for m in (a, b))
    return [f"Under noise, blur, weather and digital damage, of their accuracy keep: {told}."]


def _called(model: dict[str, Any]) -> str:
    return f"the {NAMES[model['family']]} {model['name']} ({percent(model['top1']['mean'])})"


def memory(value: int | None) -> str:
    return "not known" if value is None else f"{value / 1e6:,.0f} MB"
