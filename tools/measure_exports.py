"""Measure how far exported files are from their models: every model of ours, and others of timm, with drawn weights.

    uv run tools/measure_exports.py [NAME ...]

Writes the table of docs/exporting.md, or those rows of it. Weights are drawn so that no part hides behind zeros; a
published model's logits differ by less, since they are smaller.
"""

import logging
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import onnxruntime  # noqa: E402
from drawn_models import drawn_anew  # noqa: E402  # pyright: ignore[reportMissingImports]
from pages import machine, renew  # noqa: E402

from vit.data.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing  # noqa: E402
from vit.environment import environment  # noqa: E402
from vit.errors import UserError  # noqa: E402
from vit.exporters import onnx, torch_export  # noqa: E402
from vit.exporters.real_images import to_check_on  # noqa: E402
from vit.model import Model, assemble  # noqa: E402

PAGE = ROOT / "docs" / "exporting.md"
GATES = ("se", "eca", "cbam", "spatial")
OURS = {name: (name, {}) for name in ("vit_tiny", "vit_small", "vit_base", "resnet18", "resnet34", "resnet50")}
OURS |= {f"resnet18+{gate}": ("resnet18", {"attention": gate}) for gate in GATES}
OURS |= {f"resnet50+{gate}": ("resnet50", {"attention": gate}) for gate in GATES}
OURS |= {f"vit_tiny, pool {pool}": ("vit_tiny", {"pool": pool}) for pool in ("mean", "cls_mean", "cls_dist")}
TIMM = (
    "resnet50",
    "resnext50_32x4d",
    "seresnet50",
    "convnext_tiny",
    "efficientnet_b0",
    "mobilenetv3_large_100",
    "regnety_016",
    "densenet121",
    "deit3_small_patch16_224",
    "vit_small_patch14_reg4_dinov2",
    "swin_tiny_patch4_window7_224",
    "mixer_s32_224",
    "coatnet_0_rw_224",
    "maxvit_tiny_tf_224",
)
HEAD = """| model | largest logit | ONNX in onnxruntime | torch.export | ONNX, MB |
|---|---|---|---|---|"""
CLASSES = tuple(f"class {number}" for number in range(100))


def main() -> None:
    logging.getLogger("vit").setLevel(logging.ERROR)
    wanted = OURS | {f"timm/{name}": (f"timm/{name}", {}) for name in TIMM}
    names = sys.argv[1:] or list(wanted)
    made = f"{machine(environment())}, onnxruntime {onnxruntime.__version__}."
    rows = {row.split(" | ")[0].removeprefix("| "): row for row in PAGE.read_text(encoding="utf-8").splitlines()}
    for name in names:
        rows[name] = f"| {' | '.join(row_of(name, *wanted[name]))} |"
        table = [HEAD, *(rows[known] for known in wanted if known in rows), "", made]
        renew(PAGE, "differences", "\n".join(table))  # keeps what is measured, should one fail


def row_of(title: str, name: str, options: dict) -> list[str]:
    """Return how far both files of a model are from it."""
    side = 518 if "dinov2" in name else 224
    module, architecture, _ = assemble(name, options, len(CLASSES), (side, side), None)
    preprocessing = Preprocessing((side, side), IMAGENET_MEAN, IMAGENET_STD)
    model = Model(drawn_anew(module).eval(), architecture, CLASSES, preprocessing, source=title)
    images = to_check_on(model, None, None)
    with tempfile.TemporaryDirectory() as scratch:
        found = onnx.write(Path(scratch) / "onnx", model, images)
        size = (Path(scratch) / "onnx" / "model.onnx").stat().st_size / 1e6
        try:
            program = f"{torch_export.write(Path(scratch) / 'program', model, images).largest_difference:.1e}"
        except UserError as error:
            program = str(error)[:40]
    apart = f"{found.largest_difference:.1e}"
    cells = [title, f"{found.largest_logit:.1f}", apart, program, f"{size:.0f}"]
    print(*cells, sep="  ", flush=True)
    return cells


if __name__ == "__main__":
    main()
