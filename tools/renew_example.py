"""Renew what comparisons measure: their reports below docs/, the pictures of these, the claims of their recipes.

    uv run tools/renew_example.py FOLDER
    uv run tools/renew_example.py FOLDER IMAGES/coffee_leaf
    uv run tools/renew_example.py FOLDER compare_mixers IMAGES

Carries out `vit compare compare_digits` into FOLDER, or `vit compare` of a folder of images within its time, or an
ablation on a copy of CIFAR-10, and takes the picture with Chromium. Nothing else should run meanwhile: the report
holds timings. A FOLDER in which the comparison is finished already gives its files and claims anew; only the time of
the whole is left as it was. Photographs of others are not kept: only the report of the digits shows images.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from vit.files import read_json
from vit.recipe import load_comparison
from vit.report import write as report
from vit.report.pictures import Pictures
from vit.report.results import from_plain

ROOT = Path(__file__).parent.parent
KEPT = ("report.html", "report.md", "tables.tex", "results.json", "results.csv", "figures")
EXAMPLES = {  # comparison -> folder below docs/
    "compare_digits": "example",
    "coffee_leaf": "coffee_leaf",
    "compare_mixers": "compare_mixers",
    "compare_positions": "compare_positions",
}
ABLATIONS = {"compare_mixers", "compare_positions"}  # of one recipe, on a data set that lies somewhere here
TIME_LIMITS = {"coffee_leaf": "20m"}  # of folders of images
PICTURES = {  # comparison -> picture of its report's top, below docs/, and its size
    "compare_digits": ("guide/verdict.png", "860,640"),
    "coffee_leaf": ("report.png", "1100,1180"),
}


def main() -> None:
    folder, given, images = (sys.argv[1:] + ["compare_digits", ""][len(sys.argv) - 2 :])[:3]
    name = Path(given).name
    of_images = name in TIME_LIMITS
    options = ["--time-limit", TIME_LIMITS[name]] if of_images else [f"data.path={images}"] if images else []
    finished = Path(folder) / "comparisons" / name
    new = not finished.exists()
    finished.parent.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    if new or name not in TIME_LIMITS | dict.fromkeys(ABLATIONS):
        subprocess.run(["vit", "compare", given, *options], cwd=folder, check=True)
    minutes = (time.perf_counter() - start) / 60 if new else None
    example = ROOT / "docs" / EXAMPLES[name]
    results = read_json(finished / "results.json")
    if of_images or name in ABLATIONS:
        place, called = (given, name) if of_images else (images, "cifar10")
        keep_without_photographs(results, example, {str(Path(place)): called, str(finished): name})
    else:
        keep(finished, example)
    if name in ABLATIONS and minutes:
        write_claim(name, claim_of(name, results, minutes))
    elif not of_images and name not in ABLATIONS:
        write_claims(name, results, minutes)
    if name in PICTURES:
        picture, size = PICTURES[name]
        take_picture(example / "report.html", ROOT / "docs" / picture, size)


def keep_without_photographs(results: dict, example: Path, places: dict[str, str]) -> None:
    """Write the report of results anew, without images, and with names in place of this machine's paths."""
    shutil.rmtree(example, ignore_errors=True)
    text = json.dumps(results)
    for place, called in places.items():
        text = text.replace(place, called)
    text = re.sub(r' --out [^" ]+', "", text)
    report.write(example, from_plain(json.loads(text)), Pictures())


def keep(folder: Path, example: Path) -> None:
    shutil.rmtree(example, ignore_errors=True)
    example.mkdir(parents=True)
    for name in KEPT:
        copy = shutil.copytree if (folder / name).is_dir() else shutil.copy
        copy(folder / name, example / name)


def take_picture(page: Path, picture: Path, size: str) -> None:
    with tempfile.TemporaryDirectory() as profile:
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"]
        options += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
        options += [f"--user-data-dir={profile}", f"--window-size={size}", f"--screenshot={picture}"]
        subprocess.run(["chromium", *options, page.resolve().as_uri()], check=True, capture_output=True)


def write_claims(comparison: str, results: dict, minutes: float | None) -> None:
    """Put what was measured into the recipes' headers, in their line that begins with `# Measured:`."""
    machine = machine_of(results)
    claims = {comparison: claim_of(comparison, results, minutes)} if minutes else {}
    largest = max(results["training"]["fractions"])
    images = "" if largest == 1 else f" from {100 * largest:.0f} % of the images"
    recipes = load_comparison(comparison).recipes
    for recipe, model in zip(recipes, results["models"], strict=True):
        top1, seconds = model["top1"], model["train_seconds"]
        score = f"{100 * top1['mean']:.2f} +- {100 * top1['std']:.2f} % top-1 on test (n = {len(top1['seeds'])} seeds)"
        claims[recipe] = f"{score}{images}; {seconds:.0f} s on 1 core of {machine}"
    for name, claim in claims.items():
        write_claim(name, claim)


def claim_of(comparison: str, results: dict, minutes: float) -> str:
    runs, cores = results["training"]["runs"], results["environment"]["cores"]
    told = f"{runs} trainings in {minutes:.1f} min on {cores} cores of {machine_of(results)}"
    return f"{told}; docs/{EXAMPLES[comparison]}"


def machine_of(results: dict) -> str:
    environment = results["environment"]
    return f"{environment['processor']}, torch {environment['versions']['torch']}, {environment['date'][:10]}"


def write_claim(name: str, claim: str) -> None:
    path = ROOT / "recipes" / f"{name}.yaml"
    text = re.sub(r"^# Measured: .*$", f"# Measured: {claim}.", path.read_text(encoding="utf-8"), flags=re.M)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
