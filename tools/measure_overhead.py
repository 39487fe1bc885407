"""How much longer an epoch takes with our engine than in a bare PyTorch loop that does the same work.

    uv run tools/measure_overhead.py [RECIPE] [KEY=VALUE ...] [--rounds N]

Both train the recipe's model on the recipe's batches, in the same precision, with its optimizer, schedule, clipping and
averaged weights, and validate after every epoch; the bare loop keeps no record, saves nothing and looks at no loss.
Turns are taken in one process; the first epoch of each turn warms up and does not count.
"""

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import lightning as L
import torch
import torch.nn.functional as F
from lightning.pytorch.callbacks import Callback
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from vit.data.loading.order import Position
from vit.data.sources import datasets
from vit.data.sources.datasets import Dataset
from vit.environment import environment
from vit.hardware.precision import AUTOCAST_TYPES, resolve_device, resolve_precision
from vit.hardware.processes import ALONE
from vit.recipe import Recipe, load_recipe
from vit.recipe.values import parse_overrides
from vit.run_folder import RunFolder
from vit.training.engine import fit, make_engine
from vit.training.loss import Loss
from vit.training.objectives import ByLogits
from vit.training.optim import make_optimizer, make_schedule
from vit.training.placement import place
from vit.training.setup import make_learner, make_model
from vit.training.task import Task

EPOCHS_A_TURN = 4  # the first of them uncounted


class Stopwatch(Callback):
    """The wall time from the end of the first epoch to the end of the last, validation and saving included."""

    seconds = 0.0

    def on_train_epoch_end(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        if trainer.current_epoch in (0, EPOCHS_A_TURN - 1):
            self.seconds = time.perf_counter() - self.seconds


@dataclass(frozen=True)
class Work:
    """What both do."""

    recipe: Recipe
    data: Dataset
    device: str
    precision: str

    def learner(self):
        L.seed_everything(self.recipe.training.seed, verbose=False)
        return make_learner(self.recipe, make_model(self.recipe, self.data, None), self.data, self.device)

    def loss(self) -> Loss:
        return Loss(self.recipe.training, len(self.data.classes), self.data.train.labels)


def ours(work: Work) -> float:
    learner = work.learner()
    batches = len(learner.loaders.training(1, ALONE, Position(), torch.device(work.device)))
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder(Path(folder))
        placement = place(work.recipe.training, work.device)
        engine = make_engine(work.recipe, run, placement, work.precision, 1, [], 0.0)
        watch = Stopwatch()
        engine.trainer.callbacks.append(watch)  # pyright: ignore[reportAttributeAccessIssue]
        task = Task(learner.module, work.recipe, ByLogits(work.loss()), learner.loaders, learner.prepare_batch, batches)
        fit(engine.trainer, task.train(), run, None)
    return watch.seconds


def bare(work: Work) -> float:
    learner = work.learner()
    training, loss = work.recipe.training, work.loss().to(work.device)
    module = learner.module.to(work.device).train()
    loader = learner.loaders.training(1, ALONE, Position(), torch.device(work.device))
    validation = learner.loaders.validation(ALONE, torch.device(work.device))
    optimizer = make_optimizer(module, work.recipe.optimizer)
    schedule = make_schedule(optimizer, work.recipe.optimizer.lr, work.recipe.schedule, len(loader))
    averaging = get_ema_multi_avg_fn(training.ema_decay) if training.ema_decay else None
    averaged = AveragedModel(module, multi_avg_fn=averaging, use_buffers=True) if averaging else None
    start = 0.0
    for epoch in range(EPOCHS_A_TURN):
        loader.batch_sampler.set_epoch(epoch)  # type: ignore[union-attr]
        for batch in loader:
            inputs, targets = learner.prepare_batch(*(part.to(work.device, non_blocking=True) for part in batch))
            with autocast(work):
                value = loss(module(inputs).float(), targets)
            value.backward()
            if training.clip_norm:
                nn.utils.clip_grad_norm_(module.parameters(), training.clip_norm)
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
            if averaged:
                averaged.update_parameters(module)
        validate(averaged or module, validation, work)
        start = start or time.perf_counter()
    return time.perf_counter() - start


def validate(module: nn.Module, loader, work: Work) -> tuple[float, float]:
    """Return mean loss and accuracy, without which nobody would write the bare loop either."""
    right = loss = 0.0
    module.eval()
    with torch.inference_mode(), autocast(work):
        for images, labels in loader:
            labels = labels.to(work.device)
            logits = module(images.to(work.device)).float()
            right += (logits.argmax(-1) == labels).sum()
            loss += F.cross_entropy(logits, labels, reduction="sum")
    module.train()
    return float(loss), float(right)


def autocast(work: Work):
    dtype = AUTOCAST_TYPES[work.precision]
    return torch.autocast(work.device, dtype) if dtype else nullcontext()


def rounds(work: Work, count: int) -> Iterator[tuple[float, float]]:
    """Yield seconds of the bare loop and of ours, who takes turns in going first."""
    for number in range(count):
        order = (bare, ours) if number % 2 else (ours, bare)
        seconds = {turn: turn(work) for turn in order}
        yield seconds[bare], seconds[ours]


def main(arguments: list[str]) -> None:
    count = int(arguments.pop(arguments.index("--rounds") + 1)) if "--rounds" in arguments else 9
    words = [word for word in arguments if word != "--rounds"]
    name = words.pop(0) if words and "=" not in words[0] else "cifar10_vit_tiny"
    fixed = {"schedule.epochs": EPOCHS_A_TURN, "schedule.warmup_epochs": 0}
    recipe = load_recipe(name, parse_overrides(words) | fixed)
    device = resolve_device(recipe.training.device)
    work = Work(recipe, datasets.load(recipe.data), device, resolve_precision(recipe.training.precision, device)[0])
    here = environment()
    print(f"{name} {' '.join(words)}: {work.precision} on {device}, {here['processor']}, {here['cores']} cores")
    print(f"torch {torch.__version__}, lightning {L.__version__}, {here['date']}")
    ratios = []
    for theirs, mine in rounds(work, count):
        ratios.append(mine / theirs)
        epoch = EPOCHS_A_TURN - 1
        print(f"  an epoch: bare {theirs / epoch:.3f} s, ours {mine / epoch:.3f} s, {ratios[-1] - 1:+.1%}", flush=True)
    print(f"median {median(ratios) - 1:+.1%}, from {min(ratios) - 1:+.1%} to {max(ratios) - 1:+.1%}, {count} rounds")


if __name__ == "__main__":
    main(sys.argv[1:])
