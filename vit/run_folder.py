"""The files of a run, by name, and what surrounds them."""

import csv
import io
import json
import os
import platform
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from hashlib import file_digest
from importlib.metadata import version
from pathlib import Path
from secrets import token_hex
from typing import Any

from . import __version__
from .errors import UserError
from .folder_lock import LOCK
from .hardware.machine import available_cores, processor_name
from .recipe import Recipe, settings_that_differ
from .recipe.values import read_yaml

UNFINISHED = "new-"  # begins the names of files that are being written
VERSIONS_KEPT = ("torch", "torchvision", "timm", "lightning", "albumentations", "numpy", "pillow")


class RunFolder:
    """DIR of one training: recipe, environment, metrics, summary, model, checkpoints and evaluations."""

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.recipe = self.path / "recipe.yaml"
        self.environment = self.path / "environment.json"
        self.metrics = self.path / "metrics.csv"
        self.summary = self.path / "summary.json"
        self.model = self.path / "model.safetensors"
        self.checkpoints = self.path / "checkpoints"
        self.last_checkpoint = self.checkpoints / "last.ckpt"
        self.kept_weights = self.checkpoints / "kept.safetensors"  # of the best epoch, or gathered from all processes
        self.images = self.path / "images.npz"  # of every split: names, and digests of their content
        self.passed_over = self.path / "passed_over.csv"  # what lies among the images and was not used
        self.skipped = self.path / "skipped.csv"  # files that could not be decoded and were left out
        self.diverged = self.path / "diverged.json"
        self.probes = self.path / "evaluation" / "probes.json"
        self.begun: tuple[int, int] | None = None  # of a run at work: the facts of its recipe

    def is_finished(self, recipe: Recipe, resume: bool) -> bool:
        """Return whether this run has ended already; raises UserError where it would be overwritten or mixed."""
        if not self.recipe.exists():
            if self.path.exists() and any(entry.name != LOCK for entry in self.path.iterdir()):
                raise UserError(f"{self.path} is not empty and no run; choose another --out")
            return False
        if not resume:
            raise UserError(f"{self.path} already holds a run; continue it with --resume, or choose another --out")
        changed = settings_that_differ(read_yaml(self.recipe), recipe.to_dict())
        if changed:
            raise UserError(
                f"{self.path} was started with other settings ({', '.join(changed)}; see {self.recipe}); "
                "choose another --out"
            )
        return self.summary.exists()

    def facts(self) -> tuple[int, int] | None:
        """Return what tells this recipe's file from every other, or None where there is none."""
        try:
            found = self.recipe.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns

    def is_there(self) -> bool:
        """Return whether the folder is still the one in which this run began, and not removed, nor another's."""
        return self.facts() == self.begun is not None

    def removed(self) -> UserError:
        """Return what is told where the folder of a run at work is there no more."""
        return UserError(
            f"{self.path} was removed, or moved away, while this run was at work there; nothing more is written. "
            "Begin it again, or go on with --resume where the folder is now"
        )

    def scores(self, split: str) -> Path:
        return self.path / "evaluation" / f"{split}.json"

    def logits(self, split: str) -> Path:
        return self.path / "evaluation" / f"{split}.npz"


def write_json(path: Path, values: Any) -> None:
    write_text(path, json_text(values))


def json_text(values: Any) -> str:
    return json.dumps(values, indent=2) + "\n"


def write_text(path: Path, text: str) -> None:
    write_texts({path: text})


def write_texts(texts: Mapping[Path, str]) -> None:
    """Write files that belong together, the first of them last: a disk that is full leaves all of the former ones."""
    with ExitStack() as written:
        for path, text in texts.items():
            written.enter_context(replaced(path)).write_text(text, "utf-8", "backslashreplace")


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    write_text(path, csv_text(rows))


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows under the names of all that any of them has."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(dict.fromkeys(key for row in rows for key in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a file beside `path`, which takes its place when it is whole."""
    with replaced(path) as beside:
        write(beside)


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Yield a file beside `path`; bring it to the disk and rename it: `path` is old or new, never a half.

    Several may write one file at once: each has its own beside it, and the last one stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{UNFINISHED}{token_hex(4)}-{path.name}")  # some writers look at the ending
    try:
        yield beside
        with beside.open("rb+") as file:
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def remove_unfinished(folder: Path) -> None:
    """Remove what killed processes began to write in a folder and the ones within; nobody else may write there now."""
    for pattern in (f"{UNFINISHED}????????-*", f"*/{UNFINISHED}????????-*"):
        for file in folder.glob(pattern):
            file.unlink(missing_ok=True)


def read_json(path: Path) -> Any:
    """Return what a file holds; raises UserError for one that was cut off, or is no JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read as JSON ({error}): it was cut off, or changed by hand") from error


def read_memory(path: Path) -> dict[str, Any] | None:
    """Return what is remembered in a file, or None where there is none that can be read: it is found out anew then."""
    try:
        known = read_json(path)
    except (OSError, UserError):
        return None
    return known if isinstance(known, dict) else None


def digest_of_file(path: Path) -> str:
    """Return what stands for a file's content."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def environment() -> dict[str, Any]:
    """Return what a number must be read with: hardware, versions, date, command."""
    import torch

    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "processor": processor_name(),
        "cores": available_cores(),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {"vit": __version__} | {name: version(name) for name in VERSIONS_KEPT},
    }


def clock(seconds: float) -> str:
    """Return 75 as 1:15 and 3700 as 1:01:40."""
    minutes, rest = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
