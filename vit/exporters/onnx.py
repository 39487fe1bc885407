"""A model as an ONNX file: one file, pixels in, any number of images, its classes and preprocessing inside.

BatchNorms are folded here and not by the exporter, whose own folding has been wrong (pytorch issue 169178, onnxscript
3027); the file is compared with the model on real images before it gets its name.
"""

import ast
import json
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import torch

from .. import __version__
from ..errors import UserError
from ..messages import silenced
from ..model import Model
from ..runtimes.onnx_file import INPUT, INSTALL, KEY, logits, open_session
from .agreement import Agreement, check
from .pixels_in import PixelsIn
from .real_images import RealImages
from .standalone import script

SCOPES = "pkg.torch.onnx.name_scopes"  # the exporter's: from the whole to the part, and then its own name
FILE, SCRIPT = "model.onnx", "predict.py"
OPSETS = (18, 19, 20)
LARGEST_BYTES = 2**31 - 2**20  # of a protobuf, with room for the graph


def write(folder: Path, model: Model, images: RealImages, opset: int = 20) -> Agreement:
    """Write model.onnx and the predict.py that goes with it; return how well the file agrees with the model.

    Raises UserError where a package is missing, for a model that is too large for one file or that torch cannot follow,
    and FailedCheck where the file answers otherwise than the model.
    """
    folder.mkdir(parents=True)
    path = folder / FILE
    write_graph(path, model, opset)
    found = check(partial(logits, open_session(path)), model, images, FILE)
    if model.classes:
        (folder / SCRIPT).write_text(script(), encoding="utf-8")
    return found


def write_graph(path: Path, model: Model, opset: int) -> None:
    """Write the graph of a model, and look at it with ONNX's own checker."""
    onnx = _onnx()
    shipped = PixelsIn(model, fold=True)
    size = 4 * sum(tensor.numel() for tensor in shipped.state_dict().values())
    if size > LARGEST_BYTES:
        raise UserError(
            f"{model.source} has {size / 1e9:.1f} GB of weights, and one ONNX file holds 2; export it with "
            "--to torch-export"
        )
    program = _program(shipped, model, opset)
    tidy(program.model.graph)
    program.model.metadata_props.update(_facts(model))
    program.save(str(path), external_data=False)
    onnx.checker.check_model(str(path), full_check=True)


def _onnx() -> Any:
    try:
        import onnx
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise UserError(f"ONNX files are written with onnx, onnxscript and onnxruntime: {INSTALL}") from error
    return onnx


def _program(shipped: PixelsIn, model: Model, opset: int) -> Any:
    try:
        with silenced(), torch.no_grad():
            return torch.onnx.export(
                shipped,
                (shipped.example,),
                input_names=[INPUT],
                output_names=list(shipped.outputs),
                dynamic_shapes={INPUT: {0: "batch"}},
                opset_version=opset,
                external_data=False,
                verbose=False,
            )
    except torch.onnx.errors.OnnxExporterError as error:
        reason = " ".join(str(error.__cause__ or error).split())[:300]
        raise UserError(f"torch {torch.__version__} cannot write {model.source} as ONNX: {reason}") from error


def tidy(graph: Any) -> None:
    """Name nodes by the part of the model that they are of, and leave out where on this machine its lines stand."""
    taken: Counter[str] = Counter()
    for node in graph:
        scopes = ast.literal_eval(node.metadata_props.get(SCOPES, "['']"))
        part = next((scope for scope in reversed(scopes[:-1]) if scope.startswith("module")), INPUT)
        name = f"{part.removeprefix('module.')}/{node.op_type}"
        taken[name] += 1
        node.name = name if taken[name] == 1 else f"{name}_{taken[name]}"
        for holder in (node, *node.outputs):
            holder.metadata_props.clear()
    for holder in (graph, *graph.inputs, *graph.initializers.values()):
        holder.metadata_props.clear()


def _facts(model: Model) -> dict[str, str]:
    """Return what the file says of itself: as we read it, and in plain values for readers in other languages."""
    import onnxscript

    preprocessing = model.preprocessing
    height, width = preprocessing.image_size
    return {
        KEY: model.description(),
        "classes": json.dumps(list(model.classes)),
        "output": model.output,
        "height": str(height),
        "width": str(width),
        "interpolation": preprocessing.interpolation,
        "crop_fraction": str(preprocessing.crop_fraction),
        "crop_mode": preprocessing.crop_mode,
        "made_of": Path(model.source).name,
        "made_by": f"vit {__version__}, torch {torch.__version__}, onnxscript {onnxscript.__version__}",
    }
