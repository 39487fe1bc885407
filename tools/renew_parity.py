"""Renew docs/parity.md: every family of weights against its reference implementation.

    uv run tools/renew_parity.py

Runs tests/pretrained/test_parity.py, which needs the photographs (VIT_TEST_DATA), and keeps its table.
"""

import os
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from vit.environment import environment

ROOT = Path(__file__).parent.parent
REFERENCES = ("torch", "torchvision", "timm", "transformers", "open_clip_torch")
PAGE = """# Parity with the reference implementations

Largest difference of fp32 logits between our model and the family's reference implementation, on two photographs, with
random weights, at the size in brackets: the family's own, and another, to which each implementation resamples the
positions in its own way. The bound is 1e-5. The facts of architecture and preprocessing are asserted too. Large models
have fewer blocks here; every block is alike.

{table}
Measured {date} on {processor}; {versions}.
Renewed by `uv run tools/renew_parity.py`, asserted by tests/pretrained/test_parity.py.

- Google's programs approximate GELU by tanh (flax's default), and so do we with their `.npz` files; timm computes erf
  with the same weights under its own names, and so do we with timm's.
- A `.npz` row's reference is timm, its activation set to tanh; at the native size it reads the same file back, and at
  the other size it is given positions that scipy's zoom resampled, as Google's programs do.
- Our evaluation transform gives the pixels of timm's (crop and squash) and torchvision's on 100 photographs, to 1e-6 of
  the normalised value (tests/data/test_preprocessing.py). transformers rounds the middle of an odd margin to another
  pixel, so its crops may be one pixel aside; Google's programs resize with TensorFlow, whose bilinear filter is not
  Pillow's.
- What a file does not say is taken from its family and printed: 64 channels a head, and for a bare file of timm's names
  mean and std 0.5. A bare CLIP tower that could be either is refused until it is told which GELU it has.
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "table.md"
        command = [sys.executable, "-m", "pytest", "-q", "tests/pretrained/test_parity.py"]
        subprocess.run(command, cwd=ROOT, check=True, env=os.environ | {"VIT_PARITY_TABLE": str(table)})
        if not table.exists():
            sys.exit("the test had no photographs: VIT_TEST_DATA names their folder")
        found = environment()
        page = PAGE.format(
            table=table.read_text(encoding="utf-8"),
            date=found["date"][:10],
            processor=found["processor"],
            versions=", ".join(f"{name} {version(name)}" for name in REFERENCES),
        )
    (ROOT / "docs" / "parity.md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
