"""What each way to answer costs and gives: accuracy, images a second, size; of trained models on their own test images.

    uv run tools/measure_prices.py RUN [RUN ...]

Writes a table of docs/exporting.md: float32, bf16, int8, merged tokens, ONNX, ONNX in int8, OpenVINO. All ways of a
model are timed in turns, from pixels to logits. Nothing else should run meanwhile.
"""

import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from pages import DOCS, machine, renew

import vit
from vit.data.sources.given import evenly
from vit.environment import environment
from vit.errors import UserError
from vit.exporters.agreement import in_batches, model_logits
from vit.exporters.int8 import in_turns
from vit.exporters.real_images import own_data, stacked
from vit.inference.prepare import prepare
from vit.kernels.packed_linear import has_int8_instructions
from vit.models.vision_transformer import own_transformer
from vit.runtimes.onnx_file import logits, open_session

MOST_SCORED, MERGED, SIZES = 10_000, 0.5, (1, 32)
HEAD = """| model | answers by | top-1, % | images/s, batch 1 | images/s, batch 32 | MB |
|---|---|---:|---:|---:|---:|"""

Answer = Callable[[np.ndarray], Any]  # uint8 [B, 3, height, width] -> logits [B, C]


@dataclass(frozen=True)
class Way:
    """A way to answer, or why there is none here."""

    name: str
    answer: Answer | None
    megabytes: float | None
    reason: str = ""


def main() -> None:
    rows = [row for run in sys.argv[1:] for row in rows_of(Path(run))]
    vnni = "" if has_int8_instructions() else " No instructions for int8 (VNNI) here."
    made = f"{machine(environment())}.{vnni} Every answer begins with pixels; ways of a model were timed in turns."
    renew(DOCS / "exporting.md", "prices", "\n".join([HEAD, *rows, "", made]))


def rows_of(run: Path) -> Iterator[str]:
    model = vit.load(run)
    own = own_data(model)
    assert own is not None, f"the images of {run} are not where its recipe says"
    chosen = evenly(range(len(own.test)), MOST_SCORED)
    pixels, labels = stacked(model, own.test.read, chosen), own.test.labels[chosen]
    with tempfile.TemporaryDirectory() as scratch:
        ways = list(ways_of(run, Path(scratch)))
        answers = [way.answer for way in ways if way.answer is not None]
        rates = {}
        for size in SIZES:
            batch = pixels[:size]
            rates[size] = iter([size / seconds for seconds in in_turns([partial(a, batch) for a in answers])])
        for way in ways:
            if way.answer is None:
                cells = [run.name, way.name, way.reason, "", "", ""]
            else:
                right = in_batches(lambda some, a=way.answer: np.asarray(a(some)), pixels, 32).argmax(1) == labels
                speeds = [f"{next(rates[size]):,.0f}" for size in SIZES]
                size = f"{way.megabytes:.2f}" if way.megabytes else ""
                cells = [run.name, way.name, f"{100 * right.mean():.2f}", *speeds, size]
            print(*cells, sep="  ", flush=True)
            yield f"| {' | '.join(cells)} |"


def ways_of(run: Path, scratch: Path) -> Iterator[Way]:
    weights = (run / "model.safetensors").stat().st_size / 1e6
    yield Way("`vit`, fp32", partial(model_logits, vit.load(run)), weights)
    for name, precision, merged in (
        ("bf16", "bf16", 0.0),
        ("int8", "int8", 0.0),
        ("half of its tokens", "fp32", MERGED),
    ):
        yield of_ours(run, name, precision, merged)
    folder = vit.export(run, to="onnx", out=scratch / "fp32")
    file = folder / "model.onnx"
    yield Way("ONNX in onnxruntime", partial(logits, open_session(file)), file.stat().st_size / 1e6)
    small = vit.export(run, to="onnx", precision="int8", accept_loss=1, out=scratch / "int8") / "model.onnx"
    yield Way("ONNX in onnxruntime, int8", partial(logits, open_session(small)), small.stat().st_size / 1e6)
    for name, path in (("ONNX in OpenVINO", file), ("ONNX in OpenVINO, int8", small)):
        yield Way(name, of_openvino(path), path.stat().st_size / 1e6)


def of_ours(run: Path, name: str, precision: str, merged: float) -> Way:
    model = vit.load(run)
    transformer, pairs = own_transformer(model.module), 0
    if merged:
        if transformer is None:
            return Way(f"`vit`, {name}", None, None, "has no tokens")
        patches, blocks = transformer.grid[0] * transformer.grid[1], len(transformer.blocks)
        pairs = max(1, round(merged * patches / (blocks - 1)))
    try:
        return Way(f"`vit`, {name}", partial(model_logits, prepare(model, pairs, precision, "cpu")[0]), None)
    except UserError as error:
        return Way(f"`vit`, {name}", None, None, str(error).split(";")[0])


def of_openvino(path: Path) -> Answer:
    import openvino

    hints = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    compiled: Any = openvino.compile_model(str(path), "CPU", hints)
    return lambda pixels: compiled(pixels)["logits"]


if __name__ == "__main__":
    main()
