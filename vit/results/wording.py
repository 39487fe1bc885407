"""Numbers in words: how the report writes them, and the sentences of its verdict."""

from typing import Any

from .comparison import NO_DIFFERENCE

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


def budget(value: Any) -> str:
    return value if isinstance(value, str) else amount(value)


def words(key: str) -> str:
    """Return `images_seen` as "images seen"."""
    return key.replace("macs", "multiply-accumulates").replace("_", " ")


def verdict(results: dict[str, Any]) -> list[str]:
    """Return the report's first sentences: accuracy, cost, and the strongest caveat."""
    rivals = _rivals(results["models"])
    if rivals is None:
        model = results["models"][0]
        return [
            f"{model['name']} reaches {percent(model['top1']['mean'])} {interval(model['top1'])} on test.",
            *caveats(results),
        ]
    sentences = [_accuracy_sentence(results, *rivals), *_other_pairs(results), _cost_sentence(*rivals)]
    return [*sentences, *_little_data(results, *rivals), *caveats(results)]


def caveats(results: dict[str, Any]) -> list[str]:
    """Return what limits the verdict, strongest first."""
    found = []
    ledger = results["ledger"]
    fewest = min(len(model["top1"]["seeds"]) for model in results["models"])
    if not ledger["only_models_differ"]:
        keys = [row["key"] for row in ledger["differences"] if not row["key"].startswith("model.")]
        found.append(f"The recipes differ in more than the model ({', '.join(keys)}): the difference may be theirs.")
    if fewest == 1:
        found.append(
            "One seed only: how much a second training would differ is not known, so intervals are too narrow."
        )
    found += _starts(ledger, results["training"].get("starts", {}))
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


def _rivals(models: list[dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Return the best ViT and the best CNN on validation, or the best two models where there is one family.

    Chosen on test, the better of many would look better than it is.
    """
    ranked = sorted(models, key=lambda model: -model["validation_top1"])
    best = [next((m for m in ranked if m["family"] == family), None) for family in ("vit", "cnn")]
    if best[0] and best[1]:
        return best[0], best[1]
    return (ranked[0], ranked[1]) if len(ranked) > 1 else None


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
    return (
        f"On this machine ({device}{threads}) {a['name']} answers one image in {a['latency_ms']:.2g} ms and trains at "
        f"{amount(a['train_images_per_second'])} images/s, {b['name']} in {b['latency_ms']:.2g} ms and at "
        f"{amount(b['train_images_per_second'])} images/s."
    )


def _little_data(results: dict[str, Any], a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    rows = {(row["model"], row["fraction"]): row for row in results["data_efficiency"]}
    smallest = min(results["training"]["fractions"])
    if smallest == max(results["training"]["fractions"]) or (a["name"], smallest) not in rows:
        return []
    few = [rows[model["name"], smallest] for model in (a, b) if (model["name"], smallest) in rows]
    told = " and ".join(f"{row['model']} {percent(row['top1']['mean'])} {interval(row['top1'])}" for row in few)
    return [f"With {few[0]['images']:,} training images instead of {results['data']['training_images']:,}: {told}."]


def _called(model: dict[str, Any]) -> str:
    return f"the {NAMES[model['family']]} {model['name']} ({percent(model['top1']['mean'])})"


def memory(value: int | None) -> str:
    return "not known" if value is None else f"{value / 1e6:,.0f} MB"
