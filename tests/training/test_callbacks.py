import copy

import lightning as L
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from vit.commands.inputs import load_recipe
from vit.run_folder import clock
from vit.training.callbacks import ExponentialMovingAverage
from vit.training.task import Classification

DECAY = 0.5
STEPS = 5


class Watch(L.Callback):
    """Keeps the weights before the first and after every step."""

    def __init__(self) -> None:
        self.weights: list[torch.Tensor] = []

    def on_train_start(self, trainer, task) -> None:
        self.weights.append(task.model.weight.detach().clone())

    def on_train_batch_end(self, trainer, task, *_) -> None:
        self.weights.append(task.model.weight.detach().clone())


@pytest.mark.filterwarnings("ignore:.*(many workers|number of training batches|LeafSpec|no `val_dataloader`).*")
def test_the_kept_weights_are_the_moving_average(tmp_path) -> None:
    torch.manual_seed(0)
    recipe = load_recipe("digits_vit", {"schedule.epochs": 1, "schedule.warmup_epochs": 0})
    model = nn.Linear(3, 2)
    batches = DataLoader(TensorDataset(torch.randn(STEPS * 4, 3), torch.randint(2, (STEPS * 4,))), batch_size=4)
    task = Classification(model, recipe, 2, lambda x, y: (x, nn.functional.one_hot(y, 2).float()))
    watch = Watch()
    trainer = L.Trainer(
        max_epochs=1,
        accelerator="cpu",
        callbacks=[watch, ExponentialMovingAverage(DECAY)],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
    )
    trainer.fit(task, batches)
    # torch's AveragedModel begins with a copy of the weights after the first step
    average = watch.weights[1]
    for n, weights in enumerate(watch.weights[2:], start=1):
        decay = min(DECAY, (1 + n) / (10 + n))
        average = decay * average + (1 - decay) * weights
    assert torch.allclose(model.weight, average, atol=1e-6)
    assert not torch.allclose(model.weight, watch.weights[-1], atol=1e-4)


def test_batch_normalisation_is_averaged_too() -> None:
    averaged = torch.optim.swa_utils.AveragedModel(
        nn.BatchNorm1d(2), use_buffers=True, multi_avg_fn=ExponentialMovingAverage(DECAY)._kwargs["multi_avg_fn"]
    )
    current = copy.deepcopy(averaged.module)
    for value in (1.0, 3.0):
        current.running_mean.fill_(value)
        current.num_batches_tracked += 1
        averaged.update_parameters(current)
    decay = min(DECAY, 2 / 11)
    assert torch.allclose(averaged.module.running_mean, torch.full((2,), decay * 1.0 + (1 - decay) * 3.0))
    assert averaged.module.num_batches_tracked == 2


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (75, "1:15"), (3700, "1:01:40")])
def test_time_left_is_written_as_a_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text
