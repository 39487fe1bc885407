"""An ONNX file in int8: calibrated on training images, and accepted by what it loses of validation accuracy.

Static quantization with scales of their own for every channel of the weights. Softmax, norms, attention's products and
the head stay in float32: int8 there has cost Vision Transformers 2 to 20 points (docs/exporting.md).
"""

import logging
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..data.sources.datasets import Dataset, Images
from ..errors import UserError
from ..kernels.packed_linear import has_int8_instructions
from ..messages import silenced
from ..model import Model
from ..models.interface import structure_of
from ..progress import Countdown
from ..report.statistics import PairedTest, paired_difference, paired_test
from ..runtimes.onnx_file import open_session
from .onnx import FILE, SCRIPT, logits, write_graph
from .pixels_in import INPUT
from .real_images import pixels, some_of, stacked
from .standalone import script

CALIBRATED_ON, MOST_VALIDATED, BATCH = 256, 2_000, 32  # images
ACCEPTED_LOSS = 0.01
TIMED_ROUNDS = 7
TRIED = (0, 2, 4, 8)  # layers left in float32, those that round worst first, until the loss is accepted
NO_INSTRUCTIONS = "this processor has no instructions for int8 (VNNI): files are smaller here, and hardly faster"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Int8Export:
    """What int8 costs and gives, beside the same model in float32.

    `accuracy` are shares of the validation images, float32 first; `speeds` images a second by batch size, likewise.
    """

    test: PairedTest
    accuracy: tuple[float, float]
    images: int
    megabytes: tuple[float, float]
    speeds: dict[int, tuple[float, float]]
    kept: tuple[str, ...]  # layers left in float32 beside those that always are

    def in_words(self) -> str:
        """Return what int8 costs and gives in a few lines."""
        bounds = self.test.interval()
        lines = [
            f"validation accuracy {self.accuracy[0]:.2%} -> {self.accuracy[1]:.2%} on {self.images:,} images "
            f"({100 * self.test.difference:+.2f} points, 95 % interval "
            f"{100 * bounds.low:+.2f} to {100 * bounds.high:+.2f})",
            f"size {self.megabytes[0]:.1f} -> {self.megabytes[1]:.1f} MB",
            *(f"batch {size}: {a:,.0f} -> {b:,.0f} images/s" for size, (a, b) in self.speeds.items()),
        ]
        if self.kept:
            lines.append(f"left in float32, since rounded they lost most: {', '.join(self.kept)}")
        if not has_int8_instructions():
            lines.append(NO_INSTRUCTIONS)
        return "\n".join(lines)


@dataclass(frozen=True)
class Trial:
    """The file with some layers left in float32, and how right it is about each validation image [N]."""

    kept: tuple[str, ...]
    right: np.ndarray
    test: PairedTest  # beside float32


def write(folder: Path, model: Model, own: Dataset | None, accept_loss: float | None, opset: int) -> Int8Export:
    """Write model.onnx in int8, and its predict.py; return what that costs and gives.

    Raises UserError where the model's own images are not at hand, and where more accuracy is lost than is accepted.
    """
    if own is None:
        raise UserError(
            f"int8 is calibrated on training images and judged on validation images, and those of {model.source} are "
            "not at hand: fine-tune it on yours first, or leave --precision out"
        )
    folder.mkdir(parents=True)
    whole, path = folder / "float32.onnx", folder / FILE
    write_graph(whole, model, opset)
    calibration = stacked(model, own.train.read, some_of(range(len(own.train)), CALIBRATED_ON))
    chosen = some_of(range(len(own.validation)), MOST_VALIDATED)
    judge = partial(right, model=model, images=own.validation, chosen=chosen)
    before = judge(open_session(whole))
    names = layers(whole, structure_of(model.module).family == "cnn")
    found = accepted(
        trials(whole, path, names, calibration, before, judge),
        ACCEPTED_LOSS if accept_loss is None else accept_loss,
        model.source,
    )
    made = Int8Export(
        test=found.test,
        accuracy=(float(before.mean()), float(found.right.mean())),
        images=len(chosen),
        megabytes=(whole.stat().st_size / 1e6, path.stat().st_size / 1e6),
        speeds=speeds(whole, path, calibration),
        kept=found.kept,
    )
    whole.unlink()
    ranges_of(whole).unlink()
    (folder / SCRIPT).write_text(script(), encoding="utf-8")
    return made


def trials(
    whole: Path,
    path: Path,
    names: list[str],
    calibration: np.ndarray,
    before: np.ndarray,
    judge: Callable[[Any], np.ndarray],
) -> Iterator[Trial]:
    """Write the file with none, and then ever more of its layers left in float32: those that lose most in int8."""
    whole_answers = set(np.unique(before)) <= {0.0, 1.0}
    paired = paired_test if whole_answers else paired_difference  # of several labels an answer is right in part
    worst: list[str] = []
    for count in TRIED:
        kept = worst[:count]
        quantize(whole, path, [name for name in names if name not in kept], calibration)
        after = judge(open_session(path))
        yield Trial(tuple(kept), after, paired(after[None], before[None]))
        worst = worst or rounding_worst(whole, names, calibration)


def accepted(found: Iterator[Trial], most_lost: float, source: str) -> Trial:
    """Return the first trial that loses no more than is accepted; raises UserError where none does."""
    told = []
    for trial in found:
        if -trial.test.difference <= most_lost:
            return trial
        told.append(f"{100 * -trial.test.difference:.2f} points with {len(trial.kept)} layers left in float32")
        logger.info(f"int8 loses {told[-1]}, more than the {100 * most_lost:.2f} accepted")
    raise UserError(
        f"int8 loses too much of {source}'s accuracy ({'; '.join(told)}), and nothing was written; "
        f"--accept-loss is {most_lost:g}: raise it, or leave --precision out"
    )


def right(session: Any, model: Model, images: Images, chosen: list[int]) -> np.ndarray:
    """Return how right a file is about each image: 1 or 0, or of several labels the share: [N]."""
    countdown = Countdown(len(chosen), "{done:,} of {total:,} validation images answered; {left} left")
    found = []
    for start in range(0, len(chosen), BATCH):
        some = chosen[start : start + BATCH]
        answers = logits(session, np.stack([pixels(model.preprocessing, images.read(i)) for i in some]))
        labels = images.labels[some]
        found.append((answers.argmax(1) == labels) if labels.ndim == 1 else ((answers > 0) == labels).mean(1))
        countdown.tell(min(start + BATCH, len(chosen)))
    return np.concatenate(found).astype(np.float64)


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


def speeds(whole: Path, path: Path, images: np.ndarray) -> dict[int, tuple[float, float]]:
    """Return the images a second of both files, by batch size."""
    sessions = [open_session(file) for file in (whole, path)]
    found = {}
    for size in (1, BATCH):
        batch = images[:size]
        a, b = in_turns([partial(logits, session, batch) for session in sessions])
        found[size] = (len(batch) / a, len(batch) / b)
    return found


def in_turns(calls: Sequence[Callable[[], object]]) -> list[float]:
    """Return the median seconds of calls, timed in turns so that a busy machine is busy for all."""
    for call in calls:
        call()
    rounds = np.array([[_seconds(call) for call in calls] for _ in range(TIMED_ROUNDS)])
    return np.median(rounds, axis=0).tolist()


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
