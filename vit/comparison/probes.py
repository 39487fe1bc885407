"""What the trained models of a comparison answer to changed images: the same ones for all, kept beside each run."""

from typing import Any

import numpy as np

from ..data.loading.in_memory import sized
from ..data.preprocessing import normalize
from ..data.sources.datasets import Images
from ..files import digest_of_file, read_json, read_memory, write_json
from ..progress import Countdown
from ..randomness import keys_of
from ..report.run_files import Probes
from .fresh_processes import FreshProcesses
from .jobs import default_jobs, threads_of_a_training
from .plan import PlannedRun

FEWEST, MOST = 256, 1_000  # images
PASSES = 100  # over the images, of each model: 75 to change them, and what explanations of every fourth take
FEWEST_EXPLAINED, EXPLAINED = 32, 4  # images at least, and of how many one
SHARE_OF_TRAINING = 0.05  # of its multiply-accumulates, more than which looking shall not cost
BATCH_SIZE = 128
LOOKED_INSIDE = 64  # images
FORMAT = 3  # of what is kept: since 2 answers by image, since 3 what explanations are worth


def probe(planned: list[PlannedRun], jobs: int | None = None) -> None:
    """Look at the models of the largest fraction, where nobody did since they were trained."""
    largest = max(p.fraction for p in planned)
    full = [p for p in planned if p.fraction == largest]
    count = images_for(full)
    missing = [p for p in full if not is_probed(p, count)]
    if not missing:
        return
    jobs = jobs or default_jobs(planned)
    countdown = Countdown(len(missing), "{done} of {total} models looked into; {left} left")
    with FreshProcesses(jobs) as processes:
        for done, _ in enumerate(processes.each(probe_one, missing, count, threads_of_a_training(jobs)), 1):
            countdown.tell(done)


def images_for(planned: list[PlannedRun]) -> int:
    """Return on how many test images every model is looked at, so that it costs little beside the shortest training."""
    seen = min(read_json(p.folder.summary)["images_seen"] for p in planned)
    return int(np.clip(3 * seen * SHARE_OF_TRAINING / PASSES, FEWEST, MOST))


def is_probed(planned: PlannedRun, count: int) -> bool:
    known = read_memory(planned.folder.probes)
    return known is not None and known.get("of") == facts(planned, count)


def facts(planned: PlannedRun, count: int) -> dict[str, Any]:
    return {"model_digest": digest_of_file(planned.folder.model), "at_most": count, "format": FORMAT}


def probe_one(planned: PlannedRun, count: int, threads: int) -> None:
    """Measure how a run's model holds under changed images, and write it beside its scores."""
    import torch

    from ..data.sources import datasets
    from ..explanations import internals, measured
    from ..hardware.precision import available_device
    from ..model import load
    from ..robustness import changes

    torch.set_num_threads(threads)
    model = load(planned.folder.path)
    device = available_device(planned.recipe.training.device)
    module = model.module.to(device).eval()

    def inputs_of(images: np.ndarray) -> torch.Tensor:
        planes = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
        return normalize(planes.to(device), model.preprocessing)

    def predict(images: np.ndarray) -> np.ndarray:
        starts = range(0, len(images), BATCH_SIZE)
        with torch.inference_mode():
            batches = (inputs_of(images[start : start + BATCH_SIZE]) for start in starts)
            return torch.cat([module(batch).argmax(1).cpu() for batch in batches]).numpy()

    test = some_of(datasets.load(planned.recipe.data).test, count)
    images = sized(test, model.preprocessing)
    explained = images[: max(FEWEST_EXPLAINED, len(images) // EXPLAINED)]
    found: Probes = {
        "of": facts(planned, count),
        "robustness": changes.measure(predict, images, test.labels, test.ids),
        "inside": internals.measure(module, inputs_of(images[:LOOKED_INSIDE])),
        "explained": measured.measure(model, inputs_of(explained), test.ids),
    }
    write_json(planned.folder.probes, found)


def some_of(images: Images, count: int) -> Images:
    """Return so many images at most, drawn by their names alone: the same ones for every model."""
    chosen = np.argsort(keys_of(images.ids), kind="stable")[:count]
    return images.at(np.sort(chosen))
