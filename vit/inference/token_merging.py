"""Fewer tokens from block to block in inference: those that look alike become one.

Bolya et al. 2023, arXiv:2210.09461. B images, N tokens, D embed_dim, H heads. A merged token stands for several: it is
their mean, and is attended to as often as there are of them.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import UserError
from ..models.attention import Attention
from ..models.blocks import Block, is_pre_norm
from ..models.mixers import is_plain_attention
from ..models.vision_transformer import own_transformer


def merge_tokens(module: nn.Module, per_block: int) -> None:
    """Let every block of a Vision Transformer of ours merge so many pairs of tokens, in evaluation.

    Raises UserError for another model, and where so many cannot be merged.
    """
    transformer = own_transformer(module)
    if transformer is None:
        raise UserError(
            f"tokens are merged in a Vision Transformer of `vit models`, and not in {type(module).__name__}"
        )
    if not all(is_pre_norm(block) and is_plain_attention(block) for block in transformer.blocks):
        raise UserError(
            "tokens are merged in blocks of norm_order pre and mixer attention alone, without rotary positions"
        )
    patches = transformer.grid[0] * transformer.grid[1]
    if not 0 < per_block <= patches // 2:
        raise UserError(f"of {patches} patches a block can merge 1 to {patches // 2} pairs, given {per_block}")
    transformer.blocks = Merging(transformer.blocks, per_block, transformer.num_prefix)


class Merging(nn.Sequential):
    """The blocks of a sequence, each with fewer tokens than the one before; every token gets its values back."""

    def __init__(self, blocks: Any, per_block: int, prefix: int):
        super().__init__(*blocks)
        self.training = blocks.training
        self.per_block, self.prefix = per_block, prefix

    def forward(self, x: Tensor) -> Tensor:  # [B, N, D]
        if self.training:
            return super().forward(x)
        tokens = Tokens(x, x.new_ones(*x.shape[:2], 1), torch.arange(x.shape[1], device=x.device).expand(x.shape[:2]))
        for block in self:
            tokens = self.through(block, tokens)  # pyright: ignore[reportArgumentType]
        return tokens.values.gather(1, tokens.places.unsqueeze(-1).expand(-1, -1, x.shape[-1]))

    def through(self, block: Block, tokens: "Tokens") -> "Tokens":
        attended, keys = attention(block.attn, block.norm1(tokens.values), tokens.counts, block.queries)
        tokens = tokens.first(block.queries)
        tokens = replace(tokens, values=tokens.values + block.ls1(attended))
        if block.queries is None:  # else none are left that could be merged
            tokens = merged(tokens, keys, self.per_block, self.prefix)
        x = tokens.values
        return replace(tokens, values=x + block.ls2(block.mlp(block.norm2(x))))


@dataclass(frozen=True)
class Tokens:
    """Tokens of which some were merged."""

    values: Tensor  # [B, N, D]
    counts: Tensor  # [B, N, 1], how many tokens each stands for
    places: Tensor  # [B, tokens of the first block], which of the N each of them is in

    def first(self, count: int | None) -> "Tokens":
        return Tokens(self.values[:, :count], self.counts[:, :count], self.places[:, :count])


def attention(layer: Attention, x: Tensor, counts: Tensor, queries: int | None) -> tuple[Tensor, Tensor]:
    """Return what a layer gives where every token is there `counts` times [B, N, D], and its keys [B, N, D/H]."""
    q, k, v = layer.heads(x)
    often = counts.log().to(q.dtype).transpose(1, 2).unsqueeze(1)  # [B, 1, 1, N]
    y = F.scaled_dot_product_attention(q[:, :, :queries], k, v, attn_mask=often)
    return layer.joined(y), k.mean(1)


def merged(tokens: Tokens, keys: Tensor, pairs: int, prefix: int) -> Tokens:
    """Merge the pairs whose keys are most alike, of every second patch with any of the others; never the prefix."""
    sums = tokens.values * tokens.counts
    heads, (even, odd) = sums[:, :prefix], halves(sums[:, prefix:])
    count_heads, (count_even, count_odd) = tokens.counts[:, :prefix], halves(tokens.counts[:, prefix:])
    pairs = min(pairs, odd.shape[1])
    likeness, partner = alike(*halves(keys[:, prefix:]))  # [B, even]
    order = likeness.argsort(dim=1, descending=True)
    gone, stay = order[:, :pairs], order[:, pairs:]
    goal = partner.gather(1, gone)  # [B, pairs], among the odd ones
    values = torch.cat([heads, rows(even, stay), added(odd, goal, rows(even, gone))], dim=1)
    counts = torch.cat([count_heads, rows(count_even, stay), added(count_odd, goal, rows(count_even, gone))], dim=1)
    return Tokens(values / counts, counts, moved(tokens, stay, gone, goal, prefix))


def halves(x: Tensor) -> tuple[Tensor, Tensor]:
    return x[:, ::2], x[:, 1::2]


def alike(even: Tensor, odd: Tensor) -> tuple[Tensor, Tensor]:
    """Return for every even token its highest cosine with an odd one, and which that is."""
    found = (F.normalize(even, dim=-1) @ F.normalize(odd, dim=-1).transpose(1, 2)).max(dim=-1)
    return found.values, found.indices


def rows(x: Tensor, places: Tensor) -> Tensor:
    return x.gather(1, places.unsqueeze(-1).expand(-1, -1, x.shape[-1]))


def added(x: Tensor, places: Tensor, more: Tensor) -> Tensor:
    return x.scatter_add(1, places.unsqueeze(-1).expand_as(more), more)


def moved(tokens: Tokens, stay: Tensor, gone: Tensor, goal: Tensor, prefix: int) -> Tensor:
    """Return where the first block's tokens are now."""
    images, count = tokens.values.shape[:2]
    now = torch.arange(count, device=stay.device).repeat(images, 1)
    first_odd = prefix + stay.shape[1]
    now[:, prefix + 1 :: 2] = first_odd + torch.arange(count - first_odd - gone.shape[1], device=stay.device)
    now.scatter_(1, prefix + 2 * stay, prefix + torch.arange(stay.shape[1], device=stay.device).expand_as(stay))
    now.scatter_(1, prefix + 2 * gone, first_odd + goal)
    return now.gather(1, tokens.places)
