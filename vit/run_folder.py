"""The files of a run, by name, and where a new one is written."""

from datetime import datetime
from pathlib import Path

from .errors import UserError
from .folder_lock import LOCK
from .hardware import processes
from .places import place_to_write
from .recipe import Recipe, settings_that_differ
from .recipe.values import read_yaml


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
        self.unlabelled_images = self.path / "unlabelled_images.npz"  # those that its start learned from without labels
        self.reconstructions = self.path / "reconstructions.png"  # of a training without labels
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

    def learned_without_labels(self) -> Path | None:
        """Return the list of the images that this run's model learned from without labels, here or where it began."""
        if self.recipe.is_file() and read_yaml(self.recipe).get("pretraining"):
            return self.images if self.images.is_file() else None
        return self.unlabelled_images if self.unlabelled_images.is_file() else None

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


def new_folder(out: str | Path | None, root: str, name: str) -> Path:
    """Return where to write: `out`, or a folder below `root` named by recipe and time. Nothing is made yet.

    Raises UserError where nothing can be written, and where several processes would each choose a name.
    """
    out = out if out is not None else processes.announced_folder()
    if out is not None:
        return place_to_write(out)
    if processes.started_outside():
        raise UserError("several processes write one run: say where with --out DIR")
    return place_to_write(Path(root) / f"{name}-{datetime.now():%Y%m%d-%H%M%S}")
