"""Whole commands, from the start of their process to its end, beside what Python and torch take by themselves."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from .rounds import Work

IMPORT_TORCH = ("-c", "import torch")


def prepare(arguments: Sequence[str]) -> Work:
    """Return the work of starting Python with these arguments and waiting for its end."""

    def work() -> int:
        subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return 1

    return work


def forward(model: Path, image: Path) -> Work:
    """Return the work of one forward pass of a loaded model."""
    import torch

    from ..data.decoding.reading import read_image
    from ..model import load

    loaded = load(model)
    inputs = loaded.transform(read_image(image))[None]

    def work() -> int:
        with torch.inference_mode():
            loaded.module(inputs)
        return 1

    return work
