"""Keep the losses of fifty steps anew: uv run tools/renew_golden_losses.py

To be run when training's numbers were changed on purpose; the test that compares them says when they were changed
otherwise. Prints how far they moved.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from training.golden import KEPT, RECIPES, kept, kind_of_machine, losses  # pyright: ignore[reportMissingImports]


def main() -> None:
    before = kept()["losses"] if KEPT.exists() else {}
    found = {recipe: losses(recipe) for recipe in RECIPES}
    for recipe, values in found.items():
        moved = max((abs(a - b) for a, b in zip(values, before.get(recipe, []), strict=False)), default=None)
        print(f"{recipe}: loss {values[0]:.4f} to {values[-1]:.4f}; moved by {moved}")
    KEPT.write_text(json.dumps({"machine": kind_of_machine(), "losses": found}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
