"""The Hugging Face hub: a repository's weights and configurations, fetched once and kept in its cache."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..errors import UserError
from .files import read_json

WEIGHTS = ("model.safetensors", "pytorch_model.bin", "open_clip_model.safetensors", "open_clip_pytorch_model.bin")
SHARDS = "model-*-of-*.safetensors"
CONFIGURATIONS = ("config.json", "preprocessor_config.json", "open_clip_config.json")


def read_configurations(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the configurations that lie in a folder, by file name; {} for one that is not there."""
    return {name: read_json(folder / name) or {} for name in CONFIGURATIONS}


def weights_in_order(configurations: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the names that a folder's weights may have: open_clip's first, where its configuration alone is known."""
    of_open_clip = bool(configurations["open_clip_config.json"]) and "architecture" not in configurations["config.json"]
    return sorted(WEIGHTS, key=lambda name: name.startswith("open_clip") != of_open_clip)


def download(repository: str) -> Path:
    """Return the local folder of a repository, with one file of weights; raises UserError where it cannot be had."""
    from huggingface_hub import hf_hub_download, snapshot_download
    from huggingface_hub.errors import EntryNotFoundError

    try:
        folder = Path(snapshot_download(repository, allow_patterns=list(CONFIGURATIONS)))
        for name in weights_in_order(read_configurations(folder)):
            with suppress(EntryNotFoundError):
                return Path(hf_hub_download(repository, name)).parent
        return Path(snapshot_download(repository, allow_patterns=[*CONFIGURATIONS, SHARDS]))
    except UserError:
        raise
    except Exception as error:  # whatever the network raises: a proxy, a broken connection, a wrong name
        raise UserError(
            f"{repository} is no local file, and could not be fetched from Hugging Face: {short(error)}\n"
            f"is there a network? elsewhere: hf download {repository} --local-dir FOLDER; then give FOLDER here"
        ) from error


def short(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
