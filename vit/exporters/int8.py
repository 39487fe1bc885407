"""An ONNX file in int8: calibrated on training images, and accepted by what it loses of validation accuracy.

Static quantization with scales of their own for every channel of the weights. Softmax, norms, attention's products and
the head stay in float32: int8 there has cost Vision Transformers 2 to 20 points (docs/exporting.md).
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..data.sources.datasets import Dataset, Images
from ..data.sources.given import evenly
from ..errors import UserError
from ..kernels.packed_linear import has_int8_instructions
from ..model import Model
from ..models.interface import structure_of
from ..progress import Countdown
from ..report.statistics import PairedTest, paired_difference, paired_test
from ..runtimes.onnx_file import logits, open_session
from .onnx import FILE, SCRIPT, write_graph
from .quantization import BATCH, layers, quantize, ranges_of, rounding_worst
from .real_images import stacked
from .standalone import script

CALIBRATED_ON, MOST_VALIDATED = 256, 2_000  # images
ACCEPTED_LOSS = 0.01
TIMED_ROUNDS, ROUND_S, PAUSE_S = 7, 0.1, 0.05
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
    calibration = stacked(model, own.train.read, evenly(range(len(own.train)), CALIBRATED_ON))
    chosen = evenly(range(len(own.validation)), MOST_VALIDATED)
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
        answers = logits(session, stacked(model, images.read, some))
        labels = images.labels[some]
        found.append((answers.argmax(1) == labels) if labels.ndim == 1 else ((answers > 0) == labels).mean(1))
        countdown.tell(min(start + BATCH, len(chosen)))
    return np.concatenate(found).astype(np.float64)


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
    counts = [max(1, round(ROUND_S / _seconds(call, 2))) for call in calls]
    rounds = [[_seconds(call, count) for call, count in zip(calls, counts, strict=True)] for _ in range(TIMED_ROUNDS)]
    return np.median(rounds, axis=0).tolist()


def _seconds(call: Callable[[], object], count: int) -> float:
    time.sleep(PAUSE_S)  # the former one's threads look for work a while
    call()
    start = time.perf_counter()
    for _ in range(count):
        call()
    return (time.perf_counter() - start) / count
