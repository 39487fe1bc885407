"""A model's own file: weights under timm's names, and in its header everything that they mean."""

from pathlib import Path

from ..model import Model


def write(folder: Path, model: Model) -> None:
    """Write the folder; `vit.load`, and safetensors itself, read the file in it."""
    model.save(folder / "model.safetensors")
