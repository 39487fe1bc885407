"""What several verbs take, and how a command is imported."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

Settings = Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE ...]", help="settings to change")]
MODEL_HELP = "a run folder, weights, an exported file, a timm name, or a Hugging Face id"
MergeTokens = Annotated[
    int, typer.Option(min=0, metavar="N", help="pairs of tokens that each block of a ViT merges: faster, less exact")
]
Out = Annotated[Path | None, typer.Option(metavar="DIR", help="folder to write to")]


class Format(StrEnum):
    table = "table"
    json = "json"
    csv = "csv"


class Precision(StrEnum):
    auto = "auto"
    fp32 = "fp32"
    bf16 = "bf16"
    fp16 = "fp16"


class AnswerPrecision(StrEnum):
    auto = "auto"
    fp32 = "fp32"
    bf16 = "bf16"
    fp16 = "fp16"
    int8 = "int8"


Answers = Annotated[
    AnswerPrecision,
    typer.Option("--precision", help="fp32 is exact; bf16 or auto differ a little, int8 (ViTs on CPUs) more"),
]


class Device(StrEnum):
    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class Cover(StrEnum):
    mean = "mean"
    blur = "blur"


class ExportPrecision(StrEnum):
    fp32 = "fp32"
    int8 = "int8"


class Target(StrEnum):
    onnx = "onnx"
    torch_export = "torch-export"
    safetensors = "safetensors"
    timm = "timm"
    transformers = "transformers"


@contextmanager
def importing() -> Iterator[None]:
    """Look for no garbage meanwhile: what is imported stays, and the looks take a fifth of a command's start."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
