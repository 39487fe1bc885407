"""An ONNX file's layers in int8: which of them, by what ranges, and which of them lose most by it."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..kernels.packed_linear import has_int8_instructions
from ..messages import silenced
from ..progress import Countdown
from ..runtimes.onnx_file import INPUT, logits, open_session
from .onnx import FILE

BATCH = 32  # images


def layers(path: Path, additions: bool) -> list[str]:
    """Return the names of the nodes that become int8: layers with weights but the head; of CNNs the sums too."""
    import onnx

    graph = onnx.load(str(path)).graph
    constants = {tensor.name for tensor in graph.initializer}
    head = next(node for node in reversed(graph.node) if node.op_type in ("Gemm", "MatMul"))
    weighted = {"Conv", "Gemm", "MatMul"} | ({"Add", "MaxPool"} if additions else set())
    return [
        node.name
        for node in graph.node
        if node.op_type in weighted
        and node is not head
        and (node.op_type in ("Add", "MaxPool") or constants & set(node.input))
    ]


def quantize(whole: Path, path: Path, names: list[str], calibration: np.ndarray) -> None:
    """Write the file in int8 of one in float32: of the nodes named. The ranges are measured once, and kept beside."""
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    with silenced():
        quantize_static(
            str(whole),
            str(path),
            _reader(calibration),
            quant_format=QuantFormat.QDQ,
            nodes_to_quantize=names,
            per_channel=True,
            reduce_range=not has_int8_instructions(),
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            calibration_cache_path=str(ranges_of(whole)),
            extra_options={"MatMulConstBOnly": True},
        )


def ranges_of(whole: Path) -> Path:
    """Return where the ranges of a file's values are kept while it is tried."""
    return whole.with_suffix(".ranges.json")


def rounding_worst(whole: Path, names: list[str], calibration: np.ndarray) -> list[str]:
    """Return the layers by how far the logits move where each alone is in int8, those that move them most first.

    How much of a layer's input is lost tells less: beside an outlier all else is small, and may be what matters.
    """
    some = calibration[:BATCH]
    exact = logits(open_session(whole), some)
    countdown = Countdown(len(names), "{done} of {total} layers rounded alone; {left} left")
    moved = {}
    with tempfile.TemporaryDirectory(dir=whole.parent) as scratch:
        for count, name in enumerate(names, 1):
            quantize(whole, Path(scratch) / FILE, [name], calibration)
            moved[name] = float(np.abs(logits(open_session(Path(scratch) / FILE), some) - exact).mean())
            countdown.tell(count)
    return sorted(names, key=lambda name: -moved[name])


def _reader(calibration: np.ndarray) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.batches: Iterator[np.ndarray] = iter(np.split(calibration, range(BATCH, len(calibration), BATCH)))

        def get_next(self) -> dict[str, np.ndarray] | None:  # type: ignore[override]
            batch = next(self.batches, None)
            return None if batch is None else {INPUT: batch}

    return Reader()
