"""Whether less work, or faster work, costs accuracy: variants of one recipe, compared as `vit compare` compares models.

    uv run tools/measure_less_work.py FOLDER [KEY=VALUE ...]
    uv run tools/measure_less_work.py FOLDER data.path=CIFAR10

Writes the variants' recipes into FOLDER, carries out their comparison there (it continues where it stopped), and renews
the table of docs/less_work.md. Nothing else should run meanwhile: the table holds times.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml
from pages import DOCS, machine, renew

from vit.files import read_json, write_text
from vit.recipe import load_recipe

RECIPE, EPOCHS, FRACTION, SEEDS = "cifar10_cpu_vit", 6, 0.16, 3
PLAIN = "plain"
LOWER = {"schedule.lower_image_size": 24, "schedule.raised_epochs": 3}
MUON = {"optimizer.name": "timm/muon", "optimizer.lr": 4.0e-3}
MUON_FEWER_EPOCHS = {**MUON, "schedule.epochs": EPOCHS // 2}
RANDAUGMENT = [{"random_crop": {"padding": 4}}, "horizontal_flip", {"randaugment": {"magnitude": 9}}]
VARIANTS: dict[str, dict[str, Any]] = {
    PLAIN: {},
    "bf16": {"training.precision": "bf16"},
    "patch_dropout": {"model.patch_dropout": 0.25},
    "lower_resolution": LOWER,
    "lower_resolution_ramp": {**LOWER, "augment": RANDAUGMENT, "schedule.augment_ramp_epochs": EPOCHS},
    "randaugment": {"augment": RANDAUGMENT},
    "adamw_faster": {"optimizer.lr": 8.0e-3},
    "muon": MUON,
    "muon_fewer_epochs": MUON_FEWER_EPOCHS,
    "muon_fewer_epochs_bf16": {**MUON_FEWER_EPOCHS, "training.precision": "bf16"},
}


def main() -> None:
    folder, *settings = sys.argv[1:]
    write_recipes(Path(folder))
    subprocess.run(["vit", "compare", "less_work.yaml", *settings, "--out", "report"], cwd=folder, check=True)
    results = read_json(Path(folder) / "report" / "results.json")
    told = f"`uv run tools/measure_less_work.py FOLDER data.path=CIFAR10`, {machine(results['environment'])}; "
    told += "± is the seeds' deviation; a training has one core."
    renew(DOCS / "less_work.md", "training", "\n".join([*table_of(results), "", told]))


def write_recipes(folder: Path) -> None:
    """Write every variant as a whole recipe, and the comparison of them all."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, changes in VARIANTS.items():
        recipe = load_recipe(RECIPE, {"schedule.epochs": EPOCHS, **changes})
        write_text(folder / f"{name}.yaml", recipe.to_yaml())
    comparison = {"recipes": [f"{name}.yaml" for name in VARIANTS], "seeds": SEEDS, "fractions": [FRACTION]}
    write_text(folder / "less_work.yaml", yaml.safe_dump(comparison, sort_keys=False))


def table_of(results: dict[str, Any]) -> list[str]:
    """Return the rows of a Markdown table: what changed, accuracy, its difference to plain, and the time."""
    models = {model["name"]: model for model in results["models"]}
    rows = [
        "| variant | what is changed | top-1, % | over plain, points (95 %) | p, Holm | seconds | times as fast |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for name, changes in VARIANTS.items():
        model = models[name]
        top1 = f"{100 * model['top1']['mean']:.1f} ± {100 * model['top1']['std']:.1f}"
        faster = models[PLAIN]["train_seconds"] / model["train_seconds"]
        what = ", ".join(f"`{key}={shown(value)}`" for key, value in changes.items())
        difference, p_value = against_plain(results["pairs"], name)
        rows.append(
            f"| {name} | {what} | {top1} | {difference} | {p_value} | {model['train_seconds']:.0f} | {faster:.2f} |"
        )
    return rows


def against_plain(pairs: list[dict[str, Any]], name: str) -> tuple[str, str]:
    """Return how far a variant is above the plain recipe, with its interval, and how likely that is by chance."""
    for pair in pairs:
        if {pair["a"], pair["b"]} == {PLAIN, name}:
            sign = 1 if pair["a"] == name else -1
            low, high = sorted(100 * sign * pair[end] for end in ("low", "high"))
            return f"{100 * sign * pair['difference']:+.1f} ({low:+.1f} to {high:+.1f})", f"{pair['p_adjusted']:.3f}"
    return "", ""


def shown(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True).removesuffix("...\n").strip()


if __name__ == "__main__":
    main()
