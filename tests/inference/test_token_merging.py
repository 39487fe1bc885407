"""Merged tokens stand for all that they were made of."""

import pytest
import torch

from vit import create_model
from vit.errors import UserError
from vit.inference.token_merging import Tokens, merge_tokens, merged
from vit.models.flops import count_macs
from vit.models.vision_transformer import all_tokens

SIZE = 20  # pixels; 25 patches, an odd number


def small(**options):
    torch.manual_seed(0)
    shape = {"patch_size": 4, "embed_dim": 24, "depth": 3, "num_heads": 3} | options
    module = create_model("vit", num_classes=5, image_size=SIZE, **shape).eval()
    torch.nn.init.normal_(module.head.weight)
    return module


@pytest.mark.parametrize("pool", ["cls", "mean"])
def test_equal_patches_merge_without_a_trace(pool: str) -> None:
    module = small(pool=pool)
    module.pos_embed.data[:, 1:] = 0.3
    images = torch.rand(2, 3, 1, 1).expand(-1, -1, SIZE, SIZE)
    with torch.inference_mode():
        whole = module(images)
        merge_tokens(module, 6)
        assert torch.allclose(module(images), whole, atol=1e-5)


def test_the_last_block_computes_what_the_head_sees_alone() -> None:
    module = small()
    merge_tokens(module, 6)
    images = torch.rand(2, 3, SIZE, SIZE)
    with torch.inference_mode():
        alone = module(images)
        with all_tokens(module):
            assert torch.allclose(module(images), alone, atol=1e-6)


def test_other_patches_change_the_logits_a_little_and_the_work_a_lot() -> None:
    module = small()
    macs = count_macs(module, (SIZE, SIZE))
    images = torch.rand(4, 3, SIZE, SIZE)
    with torch.inference_mode():
        whole = module(images)
        merge_tokens(module, 1)
        one = (module(images) - whole).abs().max()
        merge_tokens(module, 8)
        eight = (module(images) - whole).abs().max()
    assert 0 < one < eight < whole.abs().max()
    assert count_macs(module, (SIZE, SIZE)) < 0.7 * macs


def test_the_weights_keep_their_names_and_training_sees_every_token() -> None:
    module = small()
    names = list(module.state_dict())
    images = torch.rand(2, 3, SIZE, SIZE)
    whole = module.train()(images)
    merge_tokens(module, 4)
    assert list(module.state_dict()) == names and torch.equal(module(images), whole)


def test_the_most_alike_become_their_mean_by_hand() -> None:
    values = torch.tensor([[[9.0], [1.0], [2.0], [5.0], [7.0]]])  # a prefix, then even 1, 5 and odd 2, 7
    keys = torch.tensor([[[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.1, 1.0], [1.0, 1.0]]])
    counts = torch.tensor([[[1.0], [1.0], [3.0], [1.0], [1.0]]])
    tokens = merged(Tokens(values, counts, torch.arange(5)[None]), keys, 1, prefix=1)
    # of the even ones, the third's key is nearly that of the second: (5 + 3 * 2) / 4
    assert tokens.values.flatten().tolist() == [9.0, 1.0, 2.75, 7.0]
    assert tokens.counts.flatten().tolist() == [1, 1, 4, 1]
    assert tokens.places.tolist() == [[0, 1, 2, 2, 3]]


@pytest.mark.parametrize(("per_block", "message"), [(0, "1 to 12 pairs, given 0"), (13, "1 to 12 pairs, given 13")])
def test_what_cannot_be_merged_is_refused(per_block: int, message: str) -> None:
    with pytest.raises(UserError, match=message):
        merge_tokens(small(), per_block)
    with pytest.raises(UserError, match="and not in ResNet"):
        merge_tokens(create_model("resnet18", num_classes=2, image_size=32), 2)
