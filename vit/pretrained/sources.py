"""From what a user names to weights: a run folder, a file, a folder of a library, a published name."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..data.preprocessing import Preprocessing
from ..errors import UserError, nearest
from ..models import MODELS, PUBLISHED, complete_options
from ..run_folder import RunFolder
from . import families, files, hub, timm_models
from .families import Found
from .weights import Weights

FORMAT_VERSION = 2  # of the model file; 2: its architecture's options are complete
KINDS = (
    "a run folder, a file of weights, a name of timm (vit_small_patch16_224.augreg_in21k) or a Hugging Face id (a/b)"
)


def read(model: str | Path, told: Mapping[str, Any] | None = None) -> Weights:
    """Return the weights that `model` names, with everything known of them.

    `told` are options of the architecture that the user gave, for what a file leaves open. Raises UserError for what is
    not there, not whole, of no known family, or not to be had without a network.
    """
    path = Path(model)
    if path.is_dir():
        return _read_folder(path, told or {})
    if path.exists():
        return _read_file(path, hub.read_configurations(path.parent), told or {})
    return _read_name(str(model), told or {})


def read_published(model: str) -> Weights:
    """Return the weights published under a model's name; raises UserError where there are none."""
    name = published_name(model)
    if name is None:
        raise UserError(f"{model} has no published weights; these have: {', '.join(PUBLISHED)}, and the names of timm")
    return timm_models.published(name)


def published_name(model: str) -> str | None:
    """Return the timm name that a model's name stands for, or None where it names no published weights."""
    name = PUBLISHED.get(model, model.removeprefix("timm/"))
    return name if timm_models.is_name(name) else None


def _read_name(model: str, told: Mapping[str, Any]) -> Weights:
    if model.startswith((".", "/", "~")) or Path(model).suffix in files.SUFFIXES or model.count("/") > 1:
        raise UserError(f"there is no file or folder {model}")
    if model in MODELS or published_name(model):
        return read_published(model)
    if "/" in model:
        return _read_folder(hub.download(model), told, source=model)
    raise UserError(f"{model} is neither {KINDS}{nearest(model, PUBLISHED)}")


def _read_folder(folder: Path, told: Mapping[str, Any], source: str | None = None) -> Weights:
    if RunFolder(folder).recipe.is_file() and not RunFolder(folder).model.is_file():
        raise UserError(f"{folder} holds no model.safetensors: its training has not ended")
    configurations = hub.read_configurations(folder)
    candidates = hub.weights_in_order(configurations)
    path = next((folder / name for name in candidates if (folder / name).is_file()), None)
    shards = sorted(folder.glob(hub.SHARDS))
    if path is None and not shards:
        raise UserError(
            f"{folder} holds no weights ({', '.join(hub.WEIGHTS)}): it is no run folder, and no model's folder"
        )
    return _read_file(
        path or shards[0], configurations, told, source or str(folder), shards[1:] if path is None else []
    )


def _read_file(
    path: Path,
    configurations: Mapping[str, Mapping[str, Any]],
    told: Mapping[str, Any],
    source: str | None = None,
    shards: list[Path] | None = None,
) -> Weights:
    tensors, metadata, root = files.read(path)
    for shard in shards or []:
        tensors |= files.read(shard).tensors
    if "vit" in metadata:
        return _own(path, tensors, metadata["vit"])
    config = configurations["config.json"]
    found = Found(
        source=source or str(path),
        tensors=tensors,
        config=config,
        processor=configurations["preprocessor_config.json"],
        open_clip=configurations["open_clip_config.json"],
        told=told,
        root=root,
    )
    if "architecture" in config and path.name in hub.WEIGHTS:  # as timm writes it
        return timm_models.of_folder(path.parent, found.source, config)
    return families.convert(found)


def _own(path: Path, tensors: families.Tensors, description: str) -> Weights:
    """Return the weights of a model file that this package wrote."""
    try:
        values = json.loads(description)
        version = values["format_version"]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise UserError(f"{path} says that it is of vit, but its header does not read as ours: {error}") from error
    if version > FORMAT_VERSION:
        raise UserError(f"{path} is of format {version}; this vit reads {FORMAT_VERSION}: update it")
    architecture = values["architecture"]
    preprocessing = Preprocessing(**_tuples(values["preprocessing"]))
    name, options, grid = architecture["name"], _tuples(architecture["options"]), None
    if name in MODELS:
        options = complete_options(name, options)
    if options.get("stem") == "auto":  # as format 1 has it
        options["stem"] = "7x7" if tensors["conv1.weight"].shape[-1] == 7 else "3x3"
    if name in MODELS and "pos_embed" in tensors:
        patch_size = options["patch_size"]
        grid = (preprocessing.image_size[0] // patch_size, preprocessing.image_size[1] // patch_size)
    return Weights(
        source=str(path),
        family="vit",
        architecture=name,
        options=options,
        tensors=tensors,
        preprocessing=preprocessing,
        num_classes=architecture["num_classes"],
        classes=tuple(values["classes"]),
        grid=grid,
        recipe=values["recipe"],
    )


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return JSON's lists as the tuples that they were."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
