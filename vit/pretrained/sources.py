"""From what a user names to weights: a run folder, a file, a folder of a library, a published name."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..data.preprocessing import Preprocessing
from ..errors import UserError, nearest
from ..probabilities import Output
from ..registry import MODELS, PUBLISHED, complete_options
from ..run_folder import RunFolder
from . import configurations, families, files, header, hub, timm_models, unwrapping
from .families import WeightsFile
from .layouts import Tensors
from .start import LearnedWithoutLabels
from .weights import Weights

KINDS = (
    "a run folder, a file of weights, a name of timm (vit_small_patch16_224.augreg_in21k) or a Hugging Face id (a/b)"
)


def read(model: str | Path, user_options: Mapping[str, Any] | None = None) -> Weights:
    """Return the weights that `model` names, with everything known of them.

    `user_options` are options of the architecture, for what a file leaves open. Raises UserError for what is not there,
    not whole, of no known family, or not to be had without a network; and for facts beside the tensors that cannot be
    theirs.
    """
    try:
        weights = _read(Path(model), str(model), user_options or {})
    except OSError as error:
        raise UserError(f"{model} cannot be read: {error.strerror or error}") from error
    header.check_preprocessing(weights.preprocessing, weights.source)
    usual = header.USUAL_SIZE if weights.architecture not in MODELS else 0
    header.check_sizes(weights.options, weights.tensors, weights.source, usual)
    return weights


def _read(path: Path, model: str, user_options: Mapping[str, Any]) -> Weights:
    if path.is_dir():
        return _read_folder(path, user_options)
    if path.exists():
        return _read_file(path, hub.read_configurations(path.parent), user_options)
    return _read_name(model, user_options)


def read_start(name: str, pretrained: bool | str | Path | None, options: Mapping[str, Any]) -> Weights | None:
    """Return the weights that a model starts from, or None; True stands for those published under its name."""
    if not pretrained:
        return None
    return read_published(name) if pretrained is True else read(pretrained, options)


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


def _read_name(model: str, user_options: Mapping[str, Any]) -> Weights:
    if model.startswith((".", "/", "~")) or Path(model).suffix in files.SUFFIXES or model.count("/") > 1:
        raise UserError(f"there is no file or folder {model}")
    if model in MODELS or published_name(model):
        return read_published(model)
    if "/" in model:
        return _read_folder(hub.download(model), user_options, source=model)
    raise UserError(f"{model} is neither {KINDS}{nearest(model, PUBLISHED)}")


def _read_folder(folder: Path, user_options: Mapping[str, Any], source: str | None = None) -> Weights:
    if RunFolder(folder).recipe.is_file() and not RunFolder(folder).model.is_file():
        raise UserError(f"{folder} holds no model.safetensors: its training has not ended")
    beside = hub.read_configurations(folder)
    candidates = hub.weights_in_order(beside)
    path = next((folder / name for name in candidates if (folder / name).is_file()), None)
    shards = sorted(folder.glob(hub.SHARDS))
    if path is None and not shards:
        raise UserError(
            f"{folder} holds no weights ({', '.join(hub.WEIGHTS)}): it is no run folder, and no model's folder"
        )
    return _read_file(
        path or shards[0], beside, user_options, source or str(folder), shards[1:] if path is None else []
    )


def _read_file(
    path: Path,
    configurations_beside: Mapping[str, Mapping[str, Any]],
    user_options: Mapping[str, Any],
    source: str | None = None,
    shards: list[Path] | None = None,
) -> Weights:
    source, file = source or str(path), files.read(path, shards or [])
    if "vit" in file.metadata:
        return _own(path, files.numbers(file.contents, source), file.metadata["vit"])
    beside = configurations.checked(configurations_beside, source)
    config = beside["config.json"]
    tensors, root, notes = unwrapping.find(file.contents, source)
    tensors = files.numbers(tensors, source)
    if "architecture" in config and path.name in hub.WEIGHTS:  # as timm writes it
        weights = timm_models.of_file(tensors, source, config)
        return replace(weights, notes=(*notes, *file.notes, *weights.notes))
    found = WeightsFile(
        source=source,
        tensors=tensors,
        config=config,
        processor=beside["preprocessor_config.json"],
        open_clip=beside["open_clip_config.json"],
        user_options=user_options,
        root=root,
    )
    weights = families.convert(found)
    return replace(weights, notes=(*notes, *file.notes, *weights.notes))


def _own(path: Path, tensors: Tensors, text: str) -> Weights:
    """Return the weights of a model file that this package wrote."""
    found = header.read(text, path)
    preprocessing = Preprocessing(**dict(found.preprocessing))
    name, options, grid = found.architecture.name, found.architecture.options, None
    if name in MODELS:
        options = complete_options(name, options)
    if options.get("stem") == "auto" and "conv1.weight" in tensors:  # as format 1 has it
        options["stem"] = "7x7" if tensors["conv1.weight"].shape[-1:] == (7,) else "3x3"
    if name in MODELS and "pos_embed" in tensors and options.get("patch_size", 0) > 0:
        grid = tuple(side // options["patch_size"] for side in preprocessing.image_size)
    seen = LearnedWithoutLabels(**dict(found.pretraining)) if found.pretraining else None
    return Weights(
        source=str(path),
        family="vit",
        notes=(seen.in_words(),) if seen else (),
        pretraining=seen,
        architecture=name,
        options=options,
        tensors=tensors,
        preprocessing=preprocessing,
        num_classes=found.architecture.num_classes,
        classes=tuple(found.classes),
        grid=grid,  # type: ignore[arg-type]
        recipe=found.recipe,
        output=found.output or _output_before_format_3(found.recipe or {}),
    )


def _output_before_format_3(recipe: Mapping[str, Any]) -> Output:
    """Return what the logits of a file mean that does not say it: CSV files alone may give an image several labels."""
    several = recipe.get("training", {}).get("loss") == "bce" and recipe.get("data", {}).get("name") == "csv"
    return "sigmoid" if several else "softmax"
