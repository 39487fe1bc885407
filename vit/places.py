"""Where a user's folders lie: paths as people write them, and what is kept from one run to the next."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from .errors import UserError

ENDINGS = (".safetensors", ".onnx", ".pt2")  # of models' files


def expanded(path: str | Path) -> Path:
    """Return a path with ~ as the home folder; raises UserError where there is none."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise UserError(f"{path}: the home folder of ~ is not known here ({error}); write the path whole") from error


def cache_folder() -> Path:
    """Return where measurements, lists of unreadable files and resized images are kept.

    $XDG_CACHE_HOME/vit or ~/.cache/vit; for a user without a home, as containers have, a folder of his own among the
    temporary ones.
    """
    if given := os.environ.get("XDG_CACHE_HOME"):
        return Path(given) / "vit"
    try:
        return Path.home() / ".cache" / "vit"
    except RuntimeError:
        return Path(tempfile.gettempdir()) / f"vit-{os.getuid()}"


def place_to_write(out: str | Path) -> Path:
    """Return a folder that can be made or written; raises UserError where a file stands in its way, or rights do."""
    folder = expanded(out)
    standing = next((place for place in (folder, *folder.absolute().parents) if os.path.lexists(place)), Path("/"))
    if not standing.is_dir():
        raise UserError(f"{folder}: {standing} is no folder, and one is needed there; choose another --out")
    if not os.access(standing, os.W_OK | os.X_OK):
        raise UserError(f"{folder}: nothing can be written into {standing}; choose another --out")
    return folder


def short_names(models: Sequence[str]) -> list[str]:
    """Return names for models as short as they differ: the last part of a path, else more of it."""
    paths = [Path(model).with_suffix("") if Path(model).suffix in ENDINGS else Path(model) for model in models]
    for count in range(1, max(len(path.parts) for path in paths) + 1):
        names = ["/".join(path.parts[-count:]) for path in paths]
        if len(set(names)) == len(names):
            return names
    raise UserError(f"given: {', '.join(models)}; name every model once")
