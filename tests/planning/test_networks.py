"""Pairs of networks: alike in parameters at every size of images, larger from one to the next."""

from itertools import pairwise

import pytest
import torch

from vit import models
from vit.models.flops import count_macs, count_parameters
from vit.planning.contestants import from_scratch
from vit.planning.networks import PAIRS, Pair, image_size_for, patch_size_for


def sizes(pair: Pair, image_size: int) -> dict[str, tuple[int, int]]:
    """Return the parameters and multiply-accumulates of a pair, and of the residual network's variants."""
    found = {}
    for contestant in from_scratch(pair, image_size):
        with torch.device("meta"):
            options = {key: value for key, value in contestant.model.items() if key != "name"}
            size = (image_size, image_size)
            module = models.build(contestant.model["name"], num_classes=10, image_size=size, **options)
        found[contestant.name] = count_parameters(module), count_macs(module, size)
    return found


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair.vit['embed_dim']}-{pair.vit['depth']}")
@pytest.mark.parametrize("side", [28, 32, 64, 192])
def test_a_pair_is_matched_in_parameters(pair: Pair, side: int) -> None:
    found = [parameters for name, (parameters, _) in sizes(pair, image_size_for(side, pair)).items() if "_" not in name]
    assert max(found) / min(found) <= (1.11 if pair is PAIRS[-1] else 1.1)  # the last are the published shapes


def test_pairs_grow() -> None:
    macs = [sizes(pair, pair.image_size)["vit"][1] for pair in PAIRS]
    assert macs == sorted(macs) and all(larger >= 2 * smaller for smaller, larger in pairwise(macs))


@pytest.mark.parametrize(
    ("side", "size", "patch"),
    [(8, 8, 1), (28, 28, 4), (32, 32, 4), (40, 40, 5), (64, 64, 8), (96, 128, 16), (3000, 128, 16)],
)
def test_small_images_keep_their_size_and_patches_leave_seven_a_side(side: int, size: int, patch: int) -> None:
    assert (image_size_for(side, PAIRS[0]), patch_size_for(size)) == (size, patch)
    assert image_size_for(side, PAIRS[-1]) == (224 if side >= 96 else size)
    assert patch_size_for(224) == 16
