"""A case is read from its notation, and every library builds the same model for it."""

import pytest
import torch

from vit.bench.cases import read_case
from vit.bench.peers import BUILDERS, PEERS, Settings, at_its_best, builds
from vit.bench.rows import OURS
from vit.errors import UserError

MODELS = ("vit_tiny/4@16", "resnet18@96", "resnet50+se@96")


@pytest.mark.parametrize(
    ("name", "model", "options", "image_size", "batch_size"),
    [
        ("vit_small", "vit_small", {}, 224, 32),
        ("vit_tiny/4@32", "vit_tiny", {"patch_size": 4}, 32, 256),
        ("resnet50+se", "resnet50", {"attention": "se"}, 224, 32),
        ("vit_base", "vit_base", {}, 224, 16),
    ],
)
def test_the_notation_is_read(name, model, options, image_size, batch_size) -> None:
    found = read_case(name)
    assert (found.model, found.options, found.image_size, found.batch_size) == (model, options, image_size, batch_size)
    assert read_case(name, 7).batch_size == 7


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("vit-small", "write a model as NAME"),
        ("vit_smal", "there is no model vit_smal; did you mean vit_small"),
        ("vit_small/5", "patch_size 5 does not divide"),
        ("vit_small+se", "model.attention is not an option"),
    ],
)
def test_what_cannot_be_read_is_refused(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_case(name)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("peer", PEERS)
def test_a_peer_builds_the_same_model(name: str, peer: str) -> None:
    one = read_case(name, 2)
    if not builds(peer, one):
        assert "+" in name and peer not in ("timm", "openvino")
        return
    ours = BUILDERS[OURS](one, Settings())
    for settings in (Settings(), *at_its_best(peer, one, "cpu")):
        theirs = BUILDERS[peer](one, settings)
        counts = [sum(parameter.numel() for parameter in side.module.parameters()) for side in (ours, theirs)]
        assert counts[0] == counts[1]
        with torch.inference_mode():
            assert theirs.call(torch.zeros(2, 3, one.image_size, one.image_size)).shape == (2, 1000)


def test_openvino_computes_what_timm_computes() -> None:
    one = read_case("vit_tiny/4@16", 2)
    subject = BUILDERS["openvino"](one, Settings())
    images = torch.rand(2, 3, 16, 16)
    with torch.inference_mode():
        assert torch.allclose(subject.call(images), subject.module(images), atol=1e-4)


def test_settings_of_plain_attention_are_taken_by_every_peer() -> None:
    """The fused kernel is called with the usual settings, and not with the others."""
    from torch.overrides import TorchFunctionMode

    class Counter(TorchFunctionMode):
        calls = 0

        def __torch_function__(self, function, types, args=(), kwargs=None):
            self.calls += function is torch.nn.functional.scaled_dot_product_attention
            return function(*args, **(kwargs or {}))

    one = read_case("vit_tiny/4@16", 2)
    for peer in ("timm", "transformers"):  # torchvision's fused layer calls none in Python
        for settings in at_its_best(peer, one, "cpu"):
            subject = BUILDERS[peer](one, settings)
            with Counter() as counter, torch.inference_mode():
                subject.call(torch.zeros(2, 3, 16, 16))
            assert (counter.calls > 0) == settings.fused_attention
