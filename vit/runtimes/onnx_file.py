"""An ONNX file in onnxruntime."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import UserError

INPUT = "images"
KEY = "vit"  # of the metadata that tells what the file means
INSTALL = "pip install 'vit-toolkit[export]'"


def read(path: Path) -> tuple[str, Callable[[np.ndarray], np.ndarray]]:
    """Return what a file says of itself, and what answers: uint8 [B, 3, height, width] -> logits [B, num_classes].

    Raises UserError where onnxruntime is missing, and for a file that it cannot read or that is not of this package.
    """
    session = open_session(path)
    text = session.get_modelmeta().custom_metadata_map.get(KEY)
    if text is None:
        raise UserError(f"{path} does not say what its classes and images are: it was not written by `vit export`")
    return text, partial(logits, session)


def logits(session: Any, pixels: np.ndarray) -> np.ndarray:
    """Return the logits [B, num_classes] that a file's session gives uint8 images [B, 3, height, width]."""
    return session.run([session.get_outputs()[0].name], {INPUT: pixels})[0]


def open_session(path: Path) -> Any:
    """Return a session of onnxruntime on the CPU, with as many threads as torch has."""
    try:
        import onnxruntime
    except ImportError as error:
        raise UserError(f"{path}: ONNX files need onnxruntime: {INSTALL}") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own have no common class
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path} cannot be read by onnxruntime: {reason}") from error
