"""A program of torch.export, in its archive (.pt2).

torch reads some parts of such archives by pickle, which may run programs. Those that `vit export` writes have none of
these parts, and only such are opened here.
"""

import io
import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import UserError

FACTS, MADE_BY = "vit.json", "made_by.txt"  # among the archive's extra files
NAMES = re.compile(
    r"[^/]+/(?:archive_format|archive_version|byteorder|version|\.data/(?:serialization_id|version)|\.format_version"
    r"|\.storage_alignment|models/model\.json|data/sample_inputs/model\.pt|data/constants/model_constants_config\.json"
    r"|data/weights/(?:model_weights_config\.json|weight_\d+)|data/constants/tensor_\d+|extra/(?:vit\.json|made_by\.txt))"
)
UNTRUSTED = "it was not opened, because a pickle may run programs; export the model again where you trust it"


def read(path: Path) -> tuple[str, Callable[[np.ndarray], np.ndarray]]:
    """Return what a file says of itself, and what answers: uint8 [B, 3, height, width] -> logits [B, num_classes].

    Raises UserError for what is no whole archive, not of this package, or holds more than tensors.
    """
    try:
        text = _facts(path)
        module = torch.export.load(path).module()
    except UserError:
        raise
    except Exception as error:  # of zip, JSON and torch
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path}{_made_by(path)} cannot be read by torch {torch.__version__}: {reason}") from error

    @torch.inference_mode()
    def answer(pixels: np.ndarray) -> np.ndarray:
        given: Any = module(torch.from_numpy(pixels))
        return given[0].numpy()

    return text, answer


def _facts(path: Path) -> str:
    """Return what the archive says of its model, once it is known to hold nothing that would be unpickled freely."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        odd = next((name for name in names if not NAMES.fullmatch(name)), None)
        if odd is not None:
            raise UserError(f"{path} holds {odd:.80}, which `vit export` does not write: {UNTRUSTED}")
        for name in names:
            if name.endswith("_config.json") and _unpickled(json.loads(archive.read(name))):
                raise UserError(f"{path} holds pickled tensors: {UNTRUSTED}")
            if name.endswith("model.pt"):  # else torch would try again without its restrictions
                torch.load(io.BytesIO(archive.read(name)), weights_only=True)
        text = next((archive.read(name).decode() for name in names if name.endswith(f"/extra/{FACTS}")), None)
    if text is None:
        raise UserError(f"{path} does not say what its classes and images are: it was not written by `vit export`")
    return text


def _made_by(path: Path) -> str:
    """Return by what an archive says that it was written, for messages."""
    try:
        with zipfile.ZipFile(path) as archive:
            said = next(archive.read(name) for name in archive.namelist() if name.endswith(f"/extra/{MADE_BY}"))
        return f" (written by {said.decode()[:80]})"
    except (OSError, StopIteration, ValueError, zipfile.BadZipFile):
        return ""


def _unpickled(config: Any) -> bool:
    """Return whether a table of payloads asks for pickle anywhere."""
    if isinstance(config, dict):
        return bool(config.get("use_pickle")) or any(map(_unpickled, config.values()))
    return isinstance(config, list) and any(map(_unpickled, config))
