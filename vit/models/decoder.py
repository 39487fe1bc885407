"""What looks at an encoder's tokens: the block of a Transformer's decoder, the pooling by one query, a query a class.

B images, N tokens of the decoder, M tokens of the encoder, D embed_dim, C classes.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .attention import Attention, draw_maps
from .blocks import MLP, NORM_ORDERS, ActivationName, NormOrder
from .drop_path import DropPath


class DecoderBlock(nn.Module):
    """Masked self-attention, attention to an encoder's tokens, and an MLP, each beside a residual connection.

    Vaswani et al. 2017, arXiv:1706.03762, section 3.1; norm_order "post" is theirs.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        hidden_dim: int,
        activation: ActivationName = "gelu",
        norm: Callable[[int], nn.Module] = nn.LayerNorm,
        norm_order: NormOrder = "pre",
        drop_path: float = 0.0,
    ):
        super().__init__()
        self.norm1, self.norm2, self.norm3 = norm(embed_dim), norm(embed_dim), norm(embed_dim)
        self.self_attn = Attention(embed_dim, num_heads)
        self.cross_attn = Attention(embed_dim, num_heads)
        self.mlp = MLP(embed_dim, hidden_dim, activation)
        self.drop_path, self.no_drop = DropPath(drop_path), DropPath(0.0)
        self.normalised = NORM_ORDERS[norm_order]

    def forward(self, x: Tensor, encoded: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return tokens [B, N, D] that have looked at each other, as a mask [N, N] allows, and at others [B, M, D].

        Stochastic depth leaves samples out of a branch, and so is not for the branch that looks at the encoder's.
        """
        x = self.normalised(x, lambda x: self.self_attn(x, mask=mask), self.norm1, self.drop_path, None)
        x = self.normalised(x, lambda x: self.cross_attn(x, context=encoded), self.norm2, self.no_drop, None)
        return self.normalised(x, self.mlp, self.norm3, self.drop_path, None)


class AttentionPool(nn.Module):
    """One learned query looks at all tokens, and an MLP refines what it saw (Zhai et al. 2022, arXiv:2106.04560).

    The names are timm's, and big_vision calls it the MAP head; SigLIP's weights have one.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        hidden_dim: int,
        activation: ActivationName,
        norm: Callable[[int], nn.Module],
    ):
        super().__init__()
        self.num_heads = num_heads
        self.latent = nn.Parameter(torch.empty(1, 1, embed_dim))
        self.q = nn.Linear(embed_dim, embed_dim)
        self.kv = nn.Linear(embed_dim, 2 * embed_dim)
        self.proj = nn.Linear(embed_dim, embed_dim)
        self.norm = norm(embed_dim)
        self.mlp = MLP(embed_dim, hidden_dim, activation)
        nn.init.trunc_normal_(self.latent, std=embed_dim**-0.5)

    def forward(self, x: Tensor) -> Tensor:  # [B, N, D] -> [B, D]
        q = self.q(self.latent).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)  # [1, H, 1, D/H]
        k, v = self.kv(x).unflatten(-1, (2, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q.expand(x.shape[0], -1, -1, -1), k, v)
        y = self.proj(y.transpose(1, 2).flatten(2))
        return (y + self.mlp(self.norm(y)))[:, 0]


class ClassQueries(nn.Module):
    """A learned query for every class looks at all tokens, and what it saw says whether the class is there.

    Tokens [B, M, D] -> logits [B, C]. Of Query2Label (Liu et al. 2021, arXiv:2107.10834) and ML-Decoder (Ridnik et al.
    2021, arXiv:2111.12933); attention among the queries is left out, which before they have looked at an image would
    see the same for all images.
    """

    def __init__(
        self,
        num_classes: int,
        embed_dim: int,
        num_heads: int,
        hidden_dim: int,
        activation: ActivationName,
        norm: Callable[[int], nn.Module],
    ):
        super().__init__()
        self.queries = nn.Parameter(torch.empty(1, num_classes, embed_dim))
        self.norm1, self.norm2, self.norm3 = norm(embed_dim), norm(embed_dim), norm(embed_dim)
        self.attn = Attention(embed_dim, num_heads)
        self.mlp = MLP(embed_dim, hidden_dim, activation)
        self.weight = nn.Parameter(torch.zeros(num_classes, embed_dim))
        self.bias = nn.Parameter(torch.zeros(num_classes))
        nn.init.trunc_normal_(self.queries, std=0.02)
        draw_maps(self)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.queries.expand(tokens.shape[0], -1, -1)
        x = x + self.attn(self.norm1(x), context=tokens)
        x = x + self.mlp(self.norm2(x))
        return torch.einsum("bcd,cd->bc", self.norm3(x), self.weight) + self.bias

    def seen(self, tokens: Tensor) -> Tensor:
        """Return where every class's query looks, the mean of its heads, summing to 1: [B, C, M]."""
        q, k, _ = self.attn.heads_across(self.norm1(self.queries), tokens)
        return (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).softmax(-1).mean(1)
