"""Measuring a model leaves it as it was."""

import torch

from vit.models import create_model
from vit.results import cost
from vit.results.cost import measure, seconds_per_training_step


def test_measuring_leaves_the_module_as_it_was(monkeypatch):
    monkeypatch.setattr(cost, "MEASURED_SECONDS", 0.02)
    module = create_model("resnet_cifar", num_classes=3, image_size=16, depths=(1, 1)).eval()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    timings = measure(module, (16, 16), train_batch_size=5, device="cpu")
    seconds = seconds_per_training_step(module, (16, 16), 5, "cpu", steps=2, autocast_dtype=torch.bfloat16)
    assert all(tensor.equal(before[name]) for name, tensor in module.state_dict().items())
    assert not module.training
    assert min(timings.latency_ms, timings.images_per_second, timings.train_images_per_second, seconds) > 0
    assert (timings.train_batch_size, timings.device, timings.threads) == (5, "cpu", torch.get_num_threads())
