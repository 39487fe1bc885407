"""The Hugging Face hub: a repository's weights and configurations, fetched once and kept in its cache."""

from pathlib import Path

from ..errors import UserError

WEIGHTS = ("model.safetensors", "pytorch_model.bin", "open_clip_model.safetensors", "open_clip_pytorch_model.bin")
SHARDS = "model-*-of-*.safetensors"
CONFIGURATIONS = ("config.json", "preprocessor_config.json", "open_clip_config.json")


def download(repository: str) -> Path:
    """Return the local folder of a repository; raises UserError where it cannot be had."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repository, allow_patterns=[*CONFIGURATIONS, *WEIGHTS, SHARDS]))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise UserError(
            f"{repository} is no local file, and could not be fetched from Hugging Face: {short(error)}\n"
            f"is there a network? elsewhere: hf download {repository} --local-dir FOLDER; then give FOLDER here"
        ) from error


def short(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
