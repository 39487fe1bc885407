"""Measuring a model leaves it as it was."""

import pytest
import torch
from simulated_gpu import SimulatedGPU
from torch import nn

from vit import create_model
from vit.hardware import timing
from vit.hardware.timing import measure, seconds_per_training_image


class OnCard(nn.Module):
    """Answers on a simulated GPU, and takes `most` images at once."""

    def __init__(self, gpu: SimulatedGPU, most: int = 1000) -> None:
        super().__init__()
        self.gpu, self.most = gpu, most

    def __deepcopy__(self, _: object) -> "OnCard":
        return self

    def to(self, *_: object) -> "OnCard":
        return self

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if len(images) > self.most:
            raise torch.OutOfMemoryError(f"CUDA out of memory: {len(images)} images")
        self.gpu.queue(starting=0.001, working=0.01 * len(images))
        return images


@pytest.fixture
def card(gpu: SimulatedGPU, monkeypatch: pytest.MonkeyPatch) -> SimulatedGPU:
    """A simulated GPU to which this module's tensors and steps go."""
    monkeypatch.setattr(torch, "randn", lambda *size, device: torch.zeros(*size))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a card")
    monkeypatch.setattr(timing, "_training_step", lambda module, batch, *_: lambda: module(batch))
    return gpu


def test_a_step_that_is_not_counted_is_waited_for(card: SimulatedGPU) -> None:
    seconds = timing.seconds_per_training_image(OnCard(card), (1, 1), 10, "cuda", steps=3)
    assert seconds == pytest.approx((0.3 + 0.001) / 30)


def test_latency_is_of_one_answer_and_not_of_a_queue(card: SimulatedGPU) -> None:
    assert measure(OnCard(card), (1, 1), 8, "cuda").latency_ms == pytest.approx(11)


def test_the_spread_of_rounds_holds_the_median_in_95_percent():
    assert 1 - 2 * 0.5**timing.REPEATS >= 0.95


def test_every_time_has_the_spread_of_its_rounds(card: SimulatedGPU, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = [0.004, 0.001, 0.003, 0.002, 0.005, 0.012]
    monkeypatch.setattr(timing, "_rounds", lambda call, device: rounds)
    timings = measure(OnCard(card), (1, 1), 8, "cuda")
    latency = timings.latency_ms_low, timings.latency_ms, timings.latency_ms_high
    assert latency == pytest.approx((1, 3.5, 12))
    most = max(timing.INFERENCE_BATCH_SIZES)
    speed = timings.images_per_second_low, timings.images_per_second, timings.images_per_second_high
    assert speed == pytest.approx((most / 0.012, most / 0.0035, most / 0.001)) and timings.batch_size == most
    step = timings.train_images_per_second_low, timings.train_images_per_second, timings.train_images_per_second_high
    assert step == pytest.approx((8 / 0.012, 8 / 0.0035, 8 / 0.001))


def test_the_rounds_take_as_long_together_as_they_may(card: SimulatedGPU) -> None:
    rounds = timing._rounds(lambda: card.queue(starting=0.001, working=0.0), "cuda")
    calls = int(timing.MEASURED_SECONDS / timing.REPEATS / 0.001)
    assert len(rounds) == timing.REPEATS and card.now == pytest.approx(0.001 * (3 + calls * timing.REPEATS))


def test_what_does_not_fit_is_timed_in_parts_that_do(card: SimulatedGPU) -> None:
    timings = measure(OnCard(card, most=20), (1, 1), 100, "cuda")
    assert timings.train_batch_size == 12 and timings.batch_size in (8, 16)
    assert timing.seconds_per_training_image(OnCard(card, most=3), (1, 1), 50, "cuda", 2) == pytest.approx(
        0.01, rel=0.1
    )
    with pytest.raises(torch.OutOfMemoryError):
        measure(OnCard(card, most=0), (1, 1), 100, "cuda")


def test_measuring_leaves_the_module_as_it_was(monkeypatch):
    monkeypatch.setattr(timing, "MEASURED_SECONDS", 0.02)
    module = create_model("resnet_cifar", num_classes=3, image_size=16, depths=(1, 1)).eval()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    timings = measure(module, (16, 16), train_batch_size=5, device="cpu")
    seconds = seconds_per_training_image(module, (16, 16), 5, "cpu", steps=2, autocast_dtype=torch.bfloat16)
    assert all(tensor.equal(before[name]) for name, tensor in module.state_dict().items())
    assert not module.training
    assert min(timings.latency_ms, timings.images_per_second, timings.train_images_per_second, seconds) > 0
    assert (timings.train_batch_size, timings.device, timings.threads) == (5, "cpu", torch.get_num_threads())
