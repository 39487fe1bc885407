"""Renew docs/benchmarks.md: measure here what its tables show, beside other libraries.

    uv run tools/renew_benchmarks.py [NAME ...]      these benchmarks, or all of them: more than an hour on two cores
    uv run tools/renew_benchmarks.py --page          only the page, from docs/benchmarks/*.json

Nothing else should run meanwhile. The page's words stand as they are; the tables between its marks are written anew.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from pages import DOCS, renew

from vit.bench.rows import Benchmark
from vit.commands import bench_models, bench_startup

ROOT = Path(__file__).parent.parent
FOLDER = Path("docs") / "benchmarks"  # as commands name it
BENCHES = {
    "train": ["train", "--models", "vit_small,vit_tiny/4@32,resnet50,resnet50+se", "--against", "timm"],
    "train_base": ["train", "--models", "vit_base", "--against", "torchvision,transformers"],  # 24 GiB hold no more
    "infer": ["infer", "--models", "vit_small", "--against", "timm,openvino"],
    "infer_one": ["infer", "--models", "vit_small", "--against", "timm,openvino", "--batch-size", "1"],
    "startup": ["startup"],
}
SHOWN = {"train": bench_models.show, "infer": bench_models.show, "startup": bench_startup.show}


def main() -> None:
    if "--page" not in sys.argv:
        (ROOT / FOLDER).mkdir(exist_ok=True)
        for name in sys.argv[1:] or BENCHES:
            command = ["vit", "bench", *BENCHES[name], "--rounds", "3", "--out", (FOLDER / f"{name}.json").as_posix()]
            subprocess.run(command, cwd=ROOT, check=True)
    for name in BENCHES:
        renew(DOCS / "benchmarks.md", name, table(name))


def table(name: str) -> str:
    """Return the command of a benchmark, its surroundings and its rows."""
    measured = json.loads((ROOT / FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    rows, found = measured["rows"], measured["environment"]
    show = SHOWN[rows[0]["task"]]
    shown = show(Benchmark(f"$ {found['command']}", rows, found))
    return f"```\n{shown}\n```\n{surroundings(found)}\n"


def surroundings(found: dict[str, Any]) -> str:
    libraries = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    return f"{found['date']}, {found['cores']} cores of {found['processor']}, Python {found['python']}; {libraries}."


if __name__ == "__main__":
    main()
