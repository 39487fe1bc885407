"""Multi-head attention of a sequence to itself or to another; for few queries without keys and values of all tokens.

B images, N tokens, M tokens that are looked at, Q queries, D embed_dim, H heads. A mask [N, M] is True where a token
may look.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def causal_mask(count: int, prefix: int = 0, device: torch.device | None = None) -> Tensor:
    """Return who may look at whom [N, N] where a token sees itself and those before it, and all see the prefix."""
    mask = torch.ones(count, count, dtype=torch.bool, device=device).tril()
    mask[:, :prefix] = True
    return mask


class Attention(nn.Module):
    """Multi-head attention: softmax(q k' / sqrt(D/H)) v, in every head; queries of x, keys and values of a context."""

    joins_maps = True  # a few queries may be taken through the map of the keys, which are then never computed

    def __init__(self, embed_dim: int, num_heads: int):
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(embed_dim, 3 * embed_dim)
        self.proj = nn.Linear(embed_dim, embed_dim)

    def stacked_heads(self, x: Tensor) -> Tensor:
        """Return what the map gives of tokens [B, N, D]: queries, keys and values, [3, B, H, N, D/H]."""
        return self.qkv(x).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)

    def heads(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, keys and values of tokens [B, N, D] as they meet: [B, H, N, D/H] each."""
        q, k, v = self.stacked_heads(x)
        return q, k, v

    def joined(self, x: Tensor) -> Tensor:
        """Return what the heads [B, H, N, D/H] give together: [B, N, D]."""
        return self.proj(x.transpose(1, 2).flatten(2))

    def heads_across(self, x: Tensor, context: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries of tokens [B, N, D], keys and values of a context [B, M, D]: [B, H, N or M, D/H] each."""
        width = x.shape[-1]
        q, kv = self.qkv(x)[..., :width], self.qkv(context)[..., width:]
        k, v = kv.unflatten(-1, (2, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        return q.unflatten(-1, (self.num_heads, -1)).transpose(1, 2), k, v

    def forward(  # [B, N, D]
        self,
        x: Tensor,
        queries: int | None = None,  # what only the first tokens see
        context: Tensor | None = None,  # [B, M, D], instead of x itself
        mask: Tensor | None = None,  # [N, M]
    ) -> Tensor:
        alone = context is None and mask is None
        plain = self.joins_maps and type(self.qkv) is nn.Linear  # nothing was put around it, as adapters are
        if alone and queries is not None and plain:
            return self.proj(attend_from_first(x, queries, self.qkv.weight, self.qkv.bias, self.num_heads))
        q, k, v = self.heads(x) if context is None else self.heads_across(x, context)
        y = F.scaled_dot_product_attention(q[:, :, :queries], k, v, attn_mask=mask)  # scaled by 1 / sqrt(D/H)
        return self.joined(y)


def attend_from_first(x: Tensor, queries: int, weight: Tensor, bias: Tensor, num_heads: int) -> Tensor:
    """Return what the first `queries` of the tokens x [B, N, D] take from all, the heads beside each other: [B, Q, D].

    `weight` [3 D, D] and `bias` [3 D] make queries, keys and values. Sums are taken in another order than usual:
    q k' = q (W_k x)' = (q W_k) x', and softmax(s) v = (softmax(s) x) W_v'. A key's bias adds the same to all scores of
    a query, and so nothing to their softmax. For one query it is 2 H N D multiplications instead of 2 N D^2.
    """
    of_q, of_k, of_v = weight.unflatten(0, (3, num_heads, -1))  # each [H, D/H, D]
    bias_of_q, _, bias_of_v = bias.unflatten(0, (3, num_heads, 1, -1))  # each [H, 1, D/H]
    images, _, width = x.shape
    first = x[:, :queries].flatten(0, 1)
    q = F.linear(first, of_q.flatten(0, 1), bias_of_q.flatten())  # [B Q, D]
    x = x.to(q.dtype)
    q = q.unflatten(1, (num_heads, -1)).transpose(0, 1) * of_q.shape[1] ** -0.5  # [H, B Q, D/H]; scores fit fp16
    looked_for = (q @ of_k).unflatten(1, (images, queries)).permute(1, 2, 0, 3).flatten(1, 2)  # [B, Q H, D]
    attention = (looked_for @ x.transpose(1, 2)).softmax(-1)  # [B, Q H, N]
    found = (attention @ x).view(images * queries, num_heads, width).transpose(0, 1)  # [H, B Q, D]
    values = found @ of_v.transpose(1, 2) + bias_of_v  # [H, B Q, D/H]
    return values.transpose(0, 1).reshape(images, queries, width)


def draw_maps(part: nn.Module) -> None:
    """Draw the initial linear maps of a part as the paper does: Xavier's, and the three of an attention as three."""
    for module in part.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
    for module in part.modules():
        if isinstance(qkv := getattr(module, "qkv", None), nn.Linear):
            for weight in qkv.weight.chunk(3):
                nn.init.xavier_uniform_(weight)
