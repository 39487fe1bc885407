"""Files of weights, read without running any code that they may hold."""

import json
import stat
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..errors import UserError
from . import pickles

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".npz", ".tar", ".ckpt")
EXPORTED = (".onnx", ".pt2")  # read by `runtimes`
MARKS = (
    (b"version https://git-lfs", "a pointer of Git LFS"),
    (b"<!doctype", "a web page"),
    (b"<html", "a web page"),
)
LARGEST_OF_SMALL_FILE = 2**30  # bytes that a compressed file may unfold to, whatever its size
UNFOLDS = 20  # times that a larger one may grow: weights hardly compress


class File(NamedTuple):
    """What a file holds: tensors by name, or a training script's mapping of them and of other values.

    `metadata` is of the header, and `notes` say what was left unread.
    """

    contents: Any
    metadata: dict[str, str]
    notes: tuple[str, ...]


def read(path: Path, shards: Sequence[Path] = ()) -> File:
    """Return what a file of weights holds, its further shards included.

    Raises UserError for what is no file of weights, not whole, or more than weights and plain values.
    """
    contents, metadata, notes = _read_one(path)
    for shard in shards:
        contents = contents | _read_one(shard).contents
    return File(contents, metadata, notes)


def numbers(tensors: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """Return tensors as they are computed with, in fp32 where they are numbers with a point.

    Raises UserError for one that does not hold plain numbers of its own: sparse, quantized, complex, or repeated.
    """
    for name, tensor in tensors.items():
        kinds = {
            "sparse": tensor.layout != torch.strided,
            "quantized": tensor.is_quantized,
            "without memory": tensor.is_meta,
            "complex": tensor.is_complex(),
        }
        kind = next((kind for kind, there in kinds.items() if there), None)
        if kind is None and tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            kind = f"{list(tensor.shape)} of {tensor.untyped_storage().nbytes():,} bytes"
        if kind:
            raise UserError(f"{source}: its tensor {name} is {kind}; save plain tensors of numbers")
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}


def _read_one(path: Path) -> File:
    suffix = path.suffix.lower()
    if suffix in EXPORTED:
        raise UserError(f"{path} answers, and is neither trained nor written anew; give the model that it was made of")
    if suffix not in SUFFIXES:
        raise UserError(f"{path} is no file of weights known here ({', '.join(SUFFIXES)})")
    _refuse_what_is_none(path)
    if suffix == ".safetensors":
        return File(*_read_safetensors(path), ())
    if suffix == ".npz":
        return File(_read_npz(path), {}, ())
    _refuse_unfolding(path)
    value, unread = pickles.read(path)
    names = ", ".join(unread[:3]) + ", ..." * (len(unread) > 3)
    return File(value, {}, (f"objects of other programs left unread ({names})",) * bool(unread))


def _refuse_what_is_none(path: Path) -> None:
    """Refuse what is no file, what is empty, and what stands in for one: a pointer, or a page that a server sent."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise UserError(f"{path} is no regular file (a pipe, a socket or a device): save the weights to a file first")
    with path.open("rb") as file:
        start = file.read(64).lstrip().lower()
    for mark, what in MARKS:
        if start.startswith(mark):
            raise UserError(f"{path} is {what}, not the weights themselves; fetch the file again")


def _refuse_unfolding(path: Path) -> None:
    """Refuse an archive that would fill the memory: weights are kept as they are, or hardly compressed."""
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError):  # no archive, or not whole: its reader tells
        return
    if size > max(LARGEST_OF_SMALL_FILE, UNFOLDS * path.stat().st_size):
        raise UserError(f"{path} would unfold to {size / 1e6:,.1f} MB: it is no file of weights")


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the JSON object of a file, or None where there is no such file."""
    if not path.is_file():
        return None
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
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
        _refuse_unfolding(path)
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {name: torch.from_numpy(arrays[name]) for name in arrays.files if arrays[name].dtype.kind == "f"}
    except UserError:
        raise
    except Exception as error:  # of the zip, of its compression, of an array's header
        raise UserError(f"{path} is not a whole .npz file of numbers ({error}); fetch or copy it again") from error
