"""Files of weights, read without running any code that they may hold."""

import argparse
import json
import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..errors import UserError

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".npz", ".tar", ".ckpt")
ROOTS = ("state_dict", "model", "model_state", "state_dict_ema", "model_ema")  # where training scripts keep the weights
WRAPPERS = ("module.", "_orig_mod.")  # of DistributedDataParallel and torch.compile


class File(NamedTuple):
    """The tensors of a file, in fp32 where they are numbers with a point, and the metadata of its header.

    `root` is the entry of a training script's checkpoint under which the tensors lay.
    """

    tensors: dict[str, Tensor]
    metadata: dict[str, str]
    root: str | None


def read(path: Path) -> File:
    """Return what a file of weights holds; raises UserError for anything that is not whole, or not only weights."""
    _refuse_text(path)
    metadata: dict[str, str] = {}
    root = None
    if path.suffix == ".safetensors":
        tensors, metadata = _read_safetensors(path)
    elif path.suffix == ".npz":
        tensors = _read_npz(path)
    elif path.suffix in SUFFIXES:
        tensors, root = _unwrap(path, _read_torch(path))
    else:
        raise UserError(f"{path} is no file of weights known here ({', '.join(SUFFIXES)})")
    numbers = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    return File(numbers, metadata, root)


def _refuse_text(path: Path) -> None:
    """Refuse what stands in for a file: a pointer of Git LFS, or a page that a server sent in its place."""
    with path.open("rb") as file:
        start = file.read(64).lstrip().lower()
    for mark, what in (
        (b"version https://git-lfs", "a pointer of Git LFS"),
        (b"<!doctype", "a web page"),
        (b"<html", "a web page"),
    ):
        if start.startswith(mark):
            raise UserError(f"{path} is {what}, not the weights themselves; fetch the file again")


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the JSON object of a file, or None where there is no such file."""
    if not path.is_file():
        return None
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise UserError(f"{path} is not a JSON object")
    return value


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is not a whole safetensors file ({error}); fetch or copy it again") from error


def _read_npz(path: Path) -> dict[str, Tensor]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {name: torch.from_numpy(arrays[name]) for name in arrays.files if arrays[name].dtype.kind == "f"}
    except Exception as error:  # of the zip, of its compression, of an array's header
        raise UserError(f"{path} is not a whole .npz file of numbers ({error}); fetch or copy it again") from error


def _read_torch(path: Path) -> Any:
    try:
        # Training scripts keep their arguments beside the weights; a Namespace is only a bag of values.
        with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Detected pickle protocol")  # an error follows where it matters
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(f"{path} holds more than weights, and was not opened: {_first_reason(error)}") from error
    except Exception as error:  # a damaged pickle may raise anything
        if "TorchScript" in str(error):
            raise UserError(
                f"{path} is a TorchScript program; take its weights where you trust it: "
                "torch.save(torch.jit.load(FILE).state_dict(), 'weights.pth')"
            ) from error
        raise UserError(
            f"{path} is not a whole file of PyTorch weights ({_first_reason(error)}); copy it again"
        ) from error


def _first_reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    for marker in ("WeightsUnpickler error: ", "Weights only load failed. "):
        if marker in text:
            text = text.split(marker, 1)[1]
    return text.split(". ")[0][:200]


def _unwrap(path: Path, value: Any) -> tuple[dict[str, Tensor], str | None]:
    """Return the state dict inside a checkpoint, without the wrappers' part of its names, and the root it lay under."""
    roots = [root for root in ROOTS if isinstance(value, Mapping) and isinstance(value.get(root), Mapping)]
    value = value[roots[0]] if roots else value
    tensors = {k: v for k, v in value.items() if isinstance(v, Tensor)} if isinstance(value, Mapping) else {}
    if not tensors:
        found = ", ".join(map(str, list(value)[:5])) if isinstance(value, Mapping) else type(value).__name__
        raise UserError(f"{path} holds no state dict (it holds: {found})")
    for wrapper in WRAPPERS:
        if all(name.startswith(wrapper) for name in tensors):
            tensors = {name.removeprefix(wrapper): tensor for name, tensor in tensors.items()}
    return tensors, roots[0] if roots else None
