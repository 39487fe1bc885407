"""How long what is left of a comparison will take, from the trainings that ended: for a time limit that holds."""

from collections.abc import Sequence

from ..files import read_json
from .plan import PlannedRun
from .probes import PASSES, images_for
from .progress import CompareProgress

SECONDS_A_MODEL = 15.0  # to time it alone, and its part of the report
SECONDS_OF_REPORT = 20.0
BETWEEN = 2.0  # seconds from one process to the next
PASSES_OF_A_STEP = 3  # forward, and twice as much backward
HALF_DONE = 0.5  # of a training that runs, on average


class Forecast:
    """Expects of every model the pace that it had last, and of the look at changed images what their count says."""

    def __init__(self, planned: Sequence[PlannedRun], progress: CompareProgress, jobs: int):
        self.planned, self.progress, self.jobs = planned, progress, jobs
        self.begun: list[PlannedRun] = []

    def seconds_for(self, together: Sequence[PlannedRun]) -> float | None:
        """Return the seconds until a round and the report behind it end; None before the first training has ended."""
        if not self.progress.rates:
            return None
        running = [p for p in self.begun if p in self.progress.left]
        lengths = [self.progress.seconds_of(p) for p in together]
        total = sum(lengths) + HALF_DONE * sum(map(self.progress.seconds_of, running))
        return max(total / self.jobs, *lengths) + self.to_conclude(together)

    def begin(self, together: Sequence[PlannedRun]) -> None:
        self.begun += together

    def to_conclude(self, together: Sequence[PlannedRun]) -> float:
        """Return the seconds of all that comes behind training, `together` and what was trained before."""
        largest = max(p.fraction for p in self.planned)
        ended = [p for p in self.planned if p.fraction == largest and p.folder.scores(p.judged_on).exists()]
        fixed = seconds_to_report(len({p.model for p in self.planned}))
        if not ended:
            return fixed
        images = images_for(ended)
        seconds = {p.model: seconds_to_look_into(p, images) for p in ended}
        typical = sum(seconds.values()) / len(seconds)
        looked_into = {p.title(): p for p in (*ended, *together) if p.fraction == largest}
        return fixed + sum(seconds.get(p.model, typical) for p in looked_into.values()) / self.jobs


def seconds_to_report(models: int) -> float:
    """Return how long it takes to time so many models, each alone, and to write the report."""
    return SECONDS_OF_REPORT + SECONDS_A_MODEL * models


def seconds_to_look(images: int, seconds_per_answer: float) -> float:
    """Return how long the look at a model takes, on so many changed images."""
    return BETWEEN + PASSES * images * seconds_per_answer


def seconds_to_look_into(trained: PlannedRun, images: int) -> float:
    """Return how long the look at a trained model will take, on so many images at most."""
    summary, scores = read_json(trained.folder.summary), read_json(trained.folder.scores(trained.judged_on))
    answer = summary["seconds"] / max(1, summary["images_seen"]) / PASSES_OF_A_STEP
    return seconds_to_look(min(images, scores["num_images"]), answer)
