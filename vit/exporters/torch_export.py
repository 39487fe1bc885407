"""A model as a program of torch.export (.pt2): it runs where torch is, without this package."""

from pathlib import Path
from typing import Any

import torch

from .. import __version__
from ..errors import UserError
from ..messages import silenced
from ..model import Model
from ..runtimes.onnx_file import INPUT
from ..runtimes.torch_program import FACTS, MADE_BY
from ..runtimes.torch_program import read as read_back
from .agreement import Agreement, check
from .pixels_in import PixelsIn
from .real_images import RealImages

FILE = "model.pt2"


def write(folder: Path, model: Model, images: RealImages) -> Agreement:
    """Write model.pt2: pixels in, logits and probabilities out, classes and preprocessing beside it.

    Returns how well the program agrees with the model.
    Raises UserError for a model that torch cannot follow, and FailedCheck where the program answers otherwise.
    """
    folder.mkdir(parents=True)
    path = folder / FILE
    program = _program(PixelsIn(model, fold=False), model)
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # where on this machine its lines stand
    beside = {FACTS: model.description(), MADE_BY: f"vit {__version__}, torch {torch.__version__}"}
    with silenced():
        torch.export.save(program, path, extra_files=beside)
        _, answer = read_back(path)
    return check(answer, model, images, FILE)


def _program(shipped: PixelsIn, model: Model) -> Any:
    try:
        with silenced(), torch.no_grad():
            return torch.export.export(
                shipped, (shipped.example,), dynamic_shapes={INPUT: {0: torch.export.Dim("batch", min=1, max=2**16)}}
            )
    except Exception as error:  # of torch's many compilers
        reason = " ".join(str(error).split())[:300]
        raise UserError(f"torch {torch.__version__} cannot follow {model.source} as a program: {reason}") from error
