"""Renew the example report in docs/example and the README's picture of it.

    uv run tools/renew_example.py [FOLDER]

Carries out `vit compare compare_digits` into FOLDER (or comparisons/compare_digits), which continues what is there,
and takes the picture with Chromium. Nothing else should run meanwhile: the report holds timings.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

DOCS = Path(__file__).parent.parent / "docs"
PICTURE_SIZE = "1100,1330"
KEPT = ("report.html", "report.md", "results.json", "results.csv", "figures")


def main() -> None:
    command = ["vit", "compare", "compare_digits"] + (["--out", sys.argv[1]] if len(sys.argv) > 1 else [])
    page = Path(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip())
    keep(page.parent)
    take_picture(page, DOCS / "report.png")
    print(f"{DOCS / 'example'} and {DOCS / 'report.png'} are new")


def keep(folder: Path) -> None:
    example = DOCS / "example"
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


if __name__ == "__main__":
    main()
