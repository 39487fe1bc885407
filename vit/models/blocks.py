"""What a Vision Transformer is stacked of: the patch embedding, the MLP, and the encoder block in its norm orders.

B images, N tokens, D embed_dim. Module names are timm's.
"""

from collections.abc import Callable
from functools import partial
from math import prod
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .drop_path import DropPath

ActivationName = Literal["gelu", "gelu_tanh", "quick_gelu", "swiglu"]
NormOrder = Literal["pre", "post", "res_post"]


def quick_gelu(x: Tensor) -> Tensor:
    """x * sigmoid(1.702 x), the approximation of GELU that OpenAI's CLIP was trained with (arXiv:1606.08415)."""
    return x * (1.702 * x).sigmoid()


def swiglu(x: Tensor) -> Tensor:
    """silu(a) * b of the two halves of x: half as wide as its input (Shazeer 2020, arXiv:2002.05202)."""
    gate, value = x.chunk(2, dim=-1)
    return F.silu(gate) * value


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_tanh": partial(F.gelu, approximate="tanh"),
    "quick_gelu": quick_gelu,
    "swiglu": swiglu,
}


class PatchEmbedding(nn.Module):
    """Cut images into patches and embed each: one convolution whose kernel is its stride."""

    def __init__(self, patch_size: tuple[int, int], embed_dim: int, bias: bool = True):
        super().__init__()
        self.proj = nn.Conv2d(3, embed_dim, kernel_size=patch_size, stride=patch_size, bias=bias)
        nn.init.trunc_normal_(
            self.proj.weight, std=(3 * prod(patch_size)) ** -0.5
        )  # of its fan-in, as the paper's code
        if self.proj.bias is not None:
            nn.init.zeros_(self.proj.bias)

    def forward(self, images: Tensor) -> Tensor:  # [B, 3, height, width]
        if images.shape[2] % self.proj.stride[0] or images.shape[3] % self.proj.stride[1]:
            raise ValueError(f"patches of {self.proj.kernel_size} do not tile images of {tuple(images.shape[2:])}")
        x = self.proj(images)  # [B, D, rows, columns]
        return x.permute(0, 2, 3, 1).flatten(1, 2)  # [B, rows * columns, D]


class MLP(nn.Module):
    """Two layers with an activation between, applied to every token alone."""

    def __init__(self, embed_dim: int, hidden_dim: int, activation: ActivationName = "gelu"):
        super().__init__()
        self.fc1 = nn.Linear(embed_dim, hidden_dim * (2 if activation == "swiglu" else 1))
        self.fc2 = nn.Linear(hidden_dim, embed_dim)
        self.activation = ACTIVATIONS[activation]

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.activation(self.fc1(x)))


class LayerScale(nn.Module):
    """A learned factor for every channel of a branch (Touvron et al. 2021, arXiv:2103.17239, eq. 4)."""

    def __init__(self, embed_dim: int, initial: float):
        super().__init__()
        self.gamma = nn.Parameter(torch.full((embed_dim,), initial))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


Branch = Callable[[Tensor], Tensor]


def pre_norm(x: Tensor, branch: Branch, norm: nn.Module, drop_path: DropPath, base: Tensor | None) -> Tensor:
    """x + branch(norm(x)): what enters a branch is normalised, and the way past it is free."""
    return drop_path.residual(x, lambda x: branch(norm(x)), base)


def post_norm(x: Tensor, branch: Branch, norm: nn.Module, drop_path: DropPath, base: Tensor | None) -> Tensor:
    """norm(x + branch(x)), as in the original Transformer (Vaswani et al. 2017, arXiv:1706.03762).

    Gradients near the output are large at the start (Xiong et al. 2020, arXiv:2002.04745): it needs warm-up.
    """
    return norm(drop_path.residual(x, branch, base))


def res_post_norm(x: Tensor, branch: Branch, norm: nn.Module, drop_path: DropPath, base: Tensor | None) -> Tensor:
    """x + norm(branch(x)): what a branch adds is normalised (Liu et al. 2022, Swin v2, arXiv:2111.09883)."""
    return drop_path.residual(x, lambda x: norm(branch(x)), base)


NORM_ORDERS: dict[NormOrder, Callable[..., Tensor]] = {"pre": pre_norm, "post": post_norm, "res_post": res_post_norm}


class Block(nn.Module):
    """One encoder block: tokens are mixed, then an MLP; each is a branch beside a residual connection, with a norm."""

    queries: int | None = None  # all tokens come out, but of a `LastBlock`
    attn: Any  # a mixer

    def __init__(
        self,
        embed_dim: int,
        mixer: Callable[[], nn.Module],
        hidden_dim: int,
        activation: ActivationName,
        norm: Callable[[int], nn.Module],
        scale: Callable[[int], nn.Module],
        norm_order: NormOrder,
        drop_path: float,
    ):
        super().__init__()
        self.norm1 = norm(embed_dim)
        self.attn = mixer()  # timm's name, also of what is no attention
        self.ls1 = scale(embed_dim)
        self.norm2 = norm(embed_dim)
        self.mlp = MLP(embed_dim, hidden_dim, activation)
        self.ls2 = scale(embed_dim)
        self.drop_path = DropPath(drop_path)
        self.normalised = NORM_ORDERS[norm_order]

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:  # [B, N, D] -> [B, N, D], or [B, queries, D]
        """Return the tokens; a mask, of attention alone, says who may look at whom."""
        base = None if self.queries is None else x[:, : self.queries]
        x = self.normalised(x, lambda x: self.ls1(self.mixed(x, mask)), self.norm1, self.drop_path, base)
        return self.normalised(x, lambda x: self.ls2(self.mlp(x)), self.norm2, self.drop_path, None)

    def mixed(self, x: Tensor, mask: Tensor | None) -> Tensor:
        if mask is not None:
            return self.attn(x, mask=mask)
        return self.attn(x) if self.queries is None else self.attn(x, self.queries)


class LastBlock(Block):
    """A block out of which only the first `queries` tokens come, all that the head sees; None: all of them.

    The same answers for 6 % less work of twelve blocks (docs/benchmarks.md).
    """

    def __init__(self, *arguments: Any, queries: int | None):
        super().__init__(*arguments)
        self.queries = queries


def is_pre_norm(block: Any) -> bool:
    """Return whether a block has the usual order, which faster paths are made for."""
    return block.normalised is pre_norm
