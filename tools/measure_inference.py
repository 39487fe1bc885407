"""What faster answers cost: accuracy and speed of a trained ViT in bf16 and int8, and with merged tokens.

    uv run tools/measure_inference.py RUN

RUN is a finished run on CIFAR-10 whose images are where its recipe says. Accuracy is that of its test images; speed is
that of ViT-S/16 at 224 pixels, which merges the same share of its tokens. Renews a table of docs/less_work.md. Nothing
else should run meanwhile.
"""

import statistics
import sys
import tempfile
import time
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import torch
from pages import DOCS, machine, renew
from torch import nn

import vit
from vit.environment import environment
from vit.inference.half_precision import HalfPrecision
from vit.inference.packed_blocks import pack_blocks
from vit.inference.token_merging import merge_tokens
from vit.kernels.packed_linear import Int8Linear

BATCH_SIZE, ROUNDS = 32, 5


@dataclass(frozen=True)
class Choice:
    """How a model answers; `merged` is the share of the patches that are gone before the last block."""

    precision: str
    merged: float

    def pairs_per_block(self, module: nn.Module) -> int:
        patches = module.grid[0] * module.grid[1]  # pyright: ignore[reportIndexIssue, reportOperatorIssue]
        return round(self.merged * patches / (len(module.blocks) - 1))  # pyright: ignore[reportArgumentType]


CHOICES = [Choice(precision, merged) for precision in ("fp32", "bf16", "int8") for merged in (0.0, 0.25, 0.5, 0.75)]


def main() -> None:
    run = Path(sys.argv[1])
    speeds = speeds_of_small()
    rows = [
        "| precision | patches merged | top-1, % | images/s of ViT-S/16 | times as fast |",
        "|---|---:|---:|---:|---:|",
    ]
    for choice in CHOICES:
        speed, times = speeds[choice], speeds[choice] / speeds[CHOICES[0]]
        rows.append(
            f"| {choice.precision} | {choice.merged:.0%} | {100 * top1(run, choice):.2f} | {speed:.1f} | {times:.2f} |"
        )
        print(rows[-1], flush=True)
    told = f"`uv run tools/measure_inference.py RUN`, {machine(environment())}; batches of {BATCH_SIZE}."
    renew(DOCS / "less_work.md", "inference", "\n".join([*rows, "", told]))


def top1(run: Path, choice: Choice) -> float:
    """Return a run's accuracy on its test images."""
    pairs = choice.pairs_per_block(vit.load(run).module)
    with tempfile.TemporaryDirectory() as scratch:
        found = vit.evaluate(run, merge_tokens=pairs, precision=choice.precision, out=Path(scratch) / "evaluation")
    return found.scores["top1"]


def speeds_of_small() -> dict[Choice, float]:
    """Return the median speed of ViT-S/16 by choice, in images a second: every choice in turn, several times."""
    module = vit.create_model("vit_small", num_classes=1000).eval()
    images = torch.randn(BATCH_SIZE, 3, 224, 224)
    answering = {choice: ready(deepcopy(module), choice) for choice in CHOICES}
    seconds: dict[Choice, list[float]] = {choice: [] for choice in CHOICES}
    with torch.inference_mode():
        for _ in range(ROUNDS + 1):
            for choice, model in answering.items():
                start = time.perf_counter()
                model(images)
                seconds[choice].append(time.perf_counter() - start)
    return {choice: BATCH_SIZE / statistics.median(taken[1:]) for choice, taken in seconds.items()}


def ready(module: nn.Module, choice: Choice) -> nn.Module:
    if choice.merged:
        merge_tokens(module, choice.pairs_per_block(module))
    if choice.precision == "int8":
        pack_blocks(module, Int8Linear)
    return module if choice.precision == "fp32" else HalfPrecision(module, torch.bfloat16)


if __name__ == "__main__":
    main()
