"""Maps of a Vision Transformer's attention: what a class's logit rests on, and where information flowed.

B images, N tokens, H heads. All take the row, or rows, that the head reads: the class tokens', the patches' mean, both.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ..models.decoder import ClassQueries
from ..models.vision_transformer import VisionTransformer, own_transformer
from .token_trunks import BlockAttention, TokenTrunk, attention_of


def gradient_weighted_attention(module: nn.Module, trunk: TokenTrunk, images: Tensor, classes: Tensor) -> Tensor:
    """Return how much each patch's attended values raise the logits of `classes` [B]: [B, rows, columns].

    R = I, and R += mean_h relu(dy/dA * A) R block after block (Chefer et al. 2021, arXiv:2103.15679, eqs. 5 and 6).
    """
    blocks = attention_of(module, trunk, images, lambda logits: logits.gather(1, classes[:, None]).sum())
    return _read(trunk, _followed(map(_weighted_by_gradient, blocks)), images)


def rollout(module: nn.Module, trunk: TokenTrunk, images: Tensor, classes: Tensor) -> Tensor:
    """Return how much of each patch reaches the head if all attention is followed, of no class: [B, rows, columns].

    Heads' mean beside the identity, rows summing to 1, all blocks multiplied (Abnar and Zuidema 2020,
    arXiv:2005.00928).
    """
    means = (block.weights.mean(1) for block in attention_of(module, trunk, images))
    return _read(trunk, _followed(means) / 2 ** len(trunk.attentions), images)  # (A + I) / 2 in every block


def last_attention(module: nn.Module, trunk: TokenTrunk, images: Tensor) -> Tensor:
    """Return what every head of the last block attends to from where the head reads: [B, H, rows, columns].

    As the pictures of Caron et al. 2021 (arXiv:2104.14294).
    """
    *_, last = attention_by_block(module, trunk, images)
    return last


def attention_by_block(module: nn.Module, trunk: TokenTrunk, images: Tensor) -> Iterator[Tensor]:
    """Yield, block after block, what every head attends to from where the head reads: [B, H, rows, columns]."""
    for block in attention_of(module, trunk, images):
        yield torch.stack([_read(trunk, weights, images) for weights in block.weights.unbind(1)], 1)


@torch.no_grad()
def class_attention(module: nn.Module, transformer: VisionTransformer, images: Tensor, classes: Tensor) -> Tensor:
    """Return where the query of each image's class [B] looks, the mean of its heads: [B, rows, columns]."""
    assert isinstance(transformer.head, ClassQueries)
    seen = transformer.head.seen(transformer.features(images))[torch.arange(len(images)), classes]  # [B, N]
    return seen[:, transformer.num_prefix :].unflatten(1, transformer.grid_of(images))


def with_class_queries(module: nn.Module) -> VisionTransformer | None:
    """Return a module as a Vision Transformer of ours whose head has a query a class, or None."""
    transformer = own_transformer(module)
    return transformer if transformer and isinstance(transformer.head, ClassQueries) else None


def _weighted_by_gradient(block: BlockAttention) -> Tensor:
    assert block.gradients is not None
    return (block.gradients * block.weights).relu().mean(1)  # [B, Q, N]


def _followed(blocks: Iterator[Tensor]) -> Tensor:
    """Return the product of (I + block) over blocks [B, Q, N], the first on the right, less I: [B, Q of the last, N].

    What a token keeps of itself is no relation to it; in a mean over patches it would give the same to all.
    """
    relation: Tensor | None = None
    for block in blocks:  # (I + block) (I + relation) = I + relation + block + block @ relation
        relation = block if relation is None else relation[:, : block.shape[1]] + block + block @ relation
    assert relation is not None
    return relation


def _read(trunk: TokenTrunk, rows: Tensor, images: Tensor) -> Tensor:
    """Return what the head's rows of a relation [B, Q, N] give each patch: [B, rows, columns]."""
    of_patches = rows[:, trunk.prefix :].mean(1)
    found = {
        "cls": lambda: rows[:, 0],
        "cls_dist": lambda: rows[:, :2].mean(1),
        "mean": lambda: of_patches,
        "cls_mean": lambda: (rows[:, 0] + of_patches) / 2,
    }[trunk.pool]()
    return trunk.on_grid(found, images)
