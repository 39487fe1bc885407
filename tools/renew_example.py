"""Renew what the digits comparison measures: docs/example, the README's picture, the claims of its recipes.

    uv run tools/renew_example.py FOLDER

Carries out `vit compare compare_digits` into FOLDER, which must be new, and takes the picture with Chromium. Nothing
else should run meanwhile: the report holds timings.
"""

import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from vit.run_folder import read_json

ROOT = Path(__file__).parent.parent
PICTURE_SIZE = "1100,1180"
KEPT = ("report.html", "report.md", "tables.tex", "results.json", "results.csv", "figures")


def main() -> None:
    folder = Path(sys.argv[1])
    if folder.exists():
        sys.exit(f"{folder} exists; the time of the whole comparison is measured, so it must start anew")
    folder.mkdir(parents=True)
    start = time.perf_counter()
    subprocess.run(["vit", "compare", "compare_digits"], cwd=folder, check=True)
    minutes = (time.perf_counter() - start) / 60
    folder = folder / "comparisons" / "compare_digits"
    keep(folder, ROOT / "docs" / "example")
    take_picture(folder / "report.html", ROOT / "docs" / "report.png")
    write_claims(read_json(folder / "results.json"), minutes)


def keep(folder: Path, example: Path) -> None:
    shutil.rmtree(example, ignore_errors=True)
    example.mkdir(parents=True)
    for name in KEPT:
        copy = shutil.copytree if (folder / name).is_dir() else shutil.copy
        copy(folder / name, example / name)


def take_picture(page: Path, picture: Path) -> None:
    with tempfile.TemporaryDirectory() as profile:
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"]
        options += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
        options += [f"--user-data-dir={profile}", f"--window-size={PICTURE_SIZE}", f"--screenshot={picture}"]
        subprocess.run(["chromium", *options, page.resolve().as_uri()], check=True, capture_output=True)


def write_claims(results: dict, minutes: float) -> None:
    """Put what was measured into the recipes' headers, in their line that begins with `# Measured:`."""
    environment = results["environment"]
    machine = f"{environment['processor']}, torch {environment['versions']['torch']}, {environment['date'][:10]}"
    runs, cores = results["training"]["runs"], environment["cores"]
    claims = {"compare_digits": f"{runs} trainings in {minutes:.1f} min on {cores} cores of {machine}; docs/example"}
    for model in results["models"]:
        top1, seconds = model["top1"], model["train_seconds"]
        score = f"{100 * top1['mean']:.2f} +- {100 * top1['std']:.2f} % top-1 on test (n = {len(top1['seeds'])} seeds)"
        claims[model["name"]] = f"{score}; {seconds:.0f} s on 1 core of {machine}"
    for name, claim in claims.items():
        path = ROOT / "recipes" / f"{name}.yaml"
        text = re.sub(r"^# Measured: .*$", f"# Measured: {claim}.", path.read_text(encoding="utf-8"), flags=re.M)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
