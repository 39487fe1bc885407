"""`vit export`: a model as other libraries and runtimes load it."""

import logging
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ..errors import UserError
from ..exporters import int8, onnx, safetensors, timm, torch_export, transformers
from ..exporters.real_images import own_data, to_check_on
from ..model import Model, load
from ..places import place_to_write
from ..runtimes.exported import READERS, ExportedModule

logger = logging.getLogger(__name__)

LOADING = {
    "timm": ('timm.create_model("local-dir:{folder}", pretrained=True)',),
    "safetensors": ('vit.load("{folder}")', 'safetensors.torch.load_file("{folder}/model.safetensors")'),
    "transformers": ('transformers.AutoModelForImageClassification.from_pretrained("{folder}")',),
    "onnx": (
        "vit predict {folder} IMAGE...",
        "python {folder}/predict.py IMAGE...                      # needs pillow, numpy, onnxruntime",
        'onnxruntime.InferenceSession("{folder}/model.onnx")',
        'openvino.Core().compile_model("{folder}/model.onnx", "CPU")',
    ),
    "torch-export": ("vit predict {folder} IMAGE...", 'torch.export.load("{folder}/model.pt2").module()'),
}
LIBRARIES = {"safetensors": safetensors, "timm": timm, "transformers": transformers}
ONLY_ONNX = {"precision": "fp32", "opset": 20, "accept_loss": None}  # settings, and what they are elsewhere


def export(
    model: str | Path,
    *,
    to: str,
    out: str | Path | None = None,
    images: str | Path | None = None,
    precision: str = "fp32",
    accept_loss: float | None = None,
    opset: int = 20,
) -> Path:
    """Write a folder that `to` loads, "onnx", "torch-export", "safetensors", "timm" or "transformers"; return it.

    ONNX files and torch's programs take pixels, and are compared with the model on `images`, a folder, or on its own
    test images, before they get their name. In "int8" an ONNX file is calibrated on training images, and refused where
    it loses more than `accept_loss` of validation accuracy, 0.01 for a point.

    Raises UserError for a model that the library does not have, and for a folder that is not empty; FailedCheck for a
    file that answers otherwise than the model.
    """
    given = {"precision": precision, "opset": opset, "accept_loss": accept_loss}
    _refuse_unused(to, given)
    loaded = load(model)
    if isinstance(loaded.module, ExportedModule):
        raise UserError(f"{model} is an exported file; give the model that it was made of")
    folder = _new_folder(model, to if precision == "fp32" else f"{to}-{precision}", out)
    _fill(folder, _writer(loaded, to, images, precision, accept_loss, opset))
    return folder


def _refuse_unused(to: str, given: dict[str, object]) -> None:
    wrong = [name for name, usual in ONLY_ONNX.items() if to != "onnx" and given[name] != usual]
    if wrong:
        raise UserError(f"--{wrong[0].replace('_', '-')} is for --to onnx, given --to {to}")
    if given["opset"] not in onnx.OPSETS:
        raise UserError(f"--opset is {given['opset']}; allowed: {', '.join(map(str, onnx.OPSETS))}")
    if given["accept_loss"] is not None and given["precision"] == "fp32":
        raise UserError("--accept-loss is for --precision int8: fp32 loses nothing, or is not written")


def _new_folder(model: str | Path, kind: str, out: str | Path | None) -> Path:
    if out is not None and Path(out).suffix in READERS:
        raise UserError(f"--out is the folder that the file is written to, given {out}; leave its ending out")
    folder = place_to_write(out if out is not None else Path("exports") / f"{Path(model).name}-{kind}")
    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"{folder} is not empty; choose another --out")
    return folder


def _writer(
    model: Model, to: str, images: str | Path | None, precision: str, accept_loss: float | None, opset: int
) -> Callable[[Path], None]:
    """Return what fills a folder."""
    if to in LIBRARIES:
        trunk = to == "timm" and model.pretraining is not None  # learned here without labels; its features are equal
        if not model.classes and not trunk:
            raise UserError(f"{model.source} names no classes, and there is nothing to export that {to} has not")
        return lambda folder: LIBRARIES[to].write(folder, model) and None
    own = own_data(model)
    checked_on = to_check_on(model, own, images)
    if precision == "int8":
        return lambda folder: logger.info(int8.write(folder, model, own, accept_loss, opset).in_words())
    if to == "onnx":
        return lambda folder: logger.info(f"checked: {onnx.write(folder, model, checked_on, opset).in_words()}")
    return lambda folder: logger.info(f"checked: {torch_export.write(folder, model, checked_on).in_words()}")


def _fill(folder: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a folder beside, which gets its name when it is whole and right."""
    beside = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(beside, ignore_errors=True)
    made = not folder.parent.exists()
    try:
        write(beside)
        if folder.is_dir():
            folder.rmdir()
        beside.rename(folder)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        if made:
            with suppress(OSError):  # others may have written there meanwhile
                folder.parent.rmdir()
        raise


def show(folder: Path, to: str) -> str:
    """Return the folder, and what loads it."""
    return "\n".join([str(folder), "loaded by", *(f"  {line.format(folder=folder)}" for line in LOADING[to])])
