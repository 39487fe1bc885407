"""`vit export`: a model as other libraries load it."""

import shutil
from pathlib import Path

from ..errors import UserError
from ..exporters import safetensors, timm, transformers
from ..model import load
from ..places import place_to_write

LOADING = {
    "timm": 'timm.create_model("local-dir:{folder}", pretrained=True)',
    "safetensors": 'vit.load("{folder}"), or safetensors.torch.load_file("{folder}/model.safetensors")',
    "transformers": 'transformers.AutoModelForImageClassification.from_pretrained("{folder}")',
}
WRITERS = {"safetensors": safetensors, "timm": timm, "transformers": transformers}


def export(model: str | Path, *, to: str, out: str | Path | None = None) -> Path:
    """Write a folder that `to`, "safetensors", "timm" or "transformers", loads, with equal logits; return it.

    Raises UserError for a model that the library does not have, and for a folder that is not empty.
    """
    loaded = load(model)
    if not loaded.classes:
        raise UserError(f"{model} names no classes, and there is nothing to export that its library has not")
    folder = place_to_write(out if out is not None else Path("exports") / f"{Path(model).name}-{to}")
    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"{folder} is not empty; choose another --out")
    beside = folder.with_name(f"{folder.name}.new")  # renamed when whole
    shutil.rmtree(beside, ignore_errors=True)
    try:
        WRITERS[to].write(beside, loaded)
        if folder.is_dir():
            folder.rmdir()
        beside.rename(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return folder


def show(folder: Path, to: str) -> str:
    """Return the folder, and the line of Python that loads it."""
    return f"{folder}\nload it: {LOADING[to].format(folder=folder)}"
