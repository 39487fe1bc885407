import lightning as L
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from vit.data.loading.loaders import Loaders
from vit.progress import clock
from vit.recipe import load_recipe
from vit.training.averaging import ExponentialMovingAverage
from vit.training.loss import Loss
from vit.training.objectives import ByLogits
from vit.training.task import Task

DECAY = 0.5
STEPS = 5


class Watch(L.Callback):
    """Keeps weights and statistics after every step."""

    def __init__(self) -> None:
        self.states: list[dict[str, torch.Tensor]] = []

    def on_train_batch_end(self, trainer, task, *_) -> None:
        if trainer.global_step > len(self.states):
            self.states.append({name: tensor.clone() for name, tensor in task.model.state_dict().items()})


@pytest.mark.filterwarnings("ignore:.*(many workers|number of training batches|LeafSpec).*")
@pytest.mark.parametrize("parts", [1, 2])
def test_the_kept_weights_are_the_moving_average(tmp_path, parts: int) -> None:
    recipe = load_recipe("digits_vit", {"schedule.epochs": 1, "schedule.warmup_epochs": 0, "optimizer.lr": 0.05})
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    inputs, labels = torch.randn(STEPS * 4, 3), torch.randint(2, (STEPS * 4,))
    batches = DataLoader(TensorDataset(inputs, labels), batch_size=4 // parts)
    loaders = Loaders("none", lambda *_: batches, lambda *_: batches)
    one_hot = lambda x, y: (x, nn.functional.one_hot(y, 2).float())  # noqa: E731
    objective = ByLogits(Loss(recipe.training, 2, labels.numpy()))
    task = Task(model, recipe, objective, loaders, one_hot, STEPS)
    watch = Watch()
    trainer = L.Trainer(
        max_epochs=1,
        accelerator="cpu",
        accumulate_grad_batches=parts,
        callbacks=[watch, ExponentialMovingAverage(DECAY)],
        logger=False,
        num_sanity_val_steps=0,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
    )
    trainer.fit(task)
    assert len(watch.states) == STEPS
    average = watch.states[0]
    for n, state in enumerate(watch.states[1:], start=1):
        decay = min(DECAY, (1 + n) / (10 + n))
        average = {name: decay * average[name] + (1 - decay) * state[name] for name in average}
    for name, tensor in model.state_dict().items():
        if name.endswith("num_batches_tracked"):
            assert tensor == STEPS * parts
        else:
            assert torch.allclose(tensor, average[name], atol=1e-6), name
            assert not torch.allclose(tensor, watch.states[-1][name], atol=1e-4), name


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (75, "1:15"), (3700, "1:01:40")])
def test_time_left_is_written_as_a_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text
