"""A model that was exported, as every verb takes it: its file answers, and no module of ours.

The file takes pixels and normalises them itself; a module here takes the model's input, as all others do, and gives the
pixels back to it.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ..data.preprocessing import Preprocessing, pixels_of
from ..errors import UserError
from ..pretrained import header, hub
from ..pretrained.header import Header
from . import onnx_file, torch_program

READERS = {".onnx": onnx_file.read, ".pt2": torch_program.read}


@dataclass(frozen=True)
class ExportedFile:
    """What an exported file says of itself, and what answers: uint8 [B, 3, height, width] -> logits or features."""

    path: Path
    header: Header
    module: "ExportedModule"


class ExportedModule(nn.Module):
    """An exported file, called as the module that it was made of; it computes on the CPU, without gradients."""

    def __init__(self, answer: Callable[[np.ndarray], np.ndarray], preprocessing: Preprocessing):
        super().__init__()
        self.answer, self.preprocessing = answer, preprocessing

    def forward(self, images: Tensor) -> Tensor:  # [B, 3, height, width], the model's input -> logits [B, num_classes]
        return torch.from_numpy(self.answer(pixels_of(images, self.preprocessing)))


def find(model: str | Path) -> Path | None:
    """Return the exported file that a MODEL names, or that lies in its folder; None where it names another kind."""
    path = Path(model)
    is_folder = os.path.isdir(path)  # whatever the name
    if path.suffix.lower() in READERS and not is_folder:
        return path
    if not is_folder or any((path / name).is_file() for name in hub.WEIGHTS):
        return None
    return next((path / f"model{suffix}" for suffix in READERS if (path / f"model{suffix}").is_file()), None)


def read(path: Path) -> ExportedFile:
    """Return an exported file; raises UserError for what is not there, damaged, or not written by this package."""
    if not path.is_file():
        raise UserError(f"there is no file {path}")
    text, answer = READERS[path.suffix.lower()](path)
    found = header.read(text, path)
    preprocessing = Preprocessing(**dict(found.preprocessing))
    header.check_preprocessing(preprocessing, str(path))
    return ExportedFile(path, found, ExportedModule(answer, preprocessing).eval())
