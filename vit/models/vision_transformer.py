"""The Vision Transformer (Dosovitskiy et al. 2021, arXiv:2010.11929).

B images, N tokens (CLS and patches), D embed_dim, H heads. Module names are timm's, so that weights pass both ways.
"""

from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .drop_path import DropPath

NORM_EPS = 1e-6  # of the paper's code, and of timm


class PatchEmbedding(nn.Module):
    """Cut images into patches and embed each: one convolution whose kernel is its stride."""

    def __init__(self, patch_size: tuple[int, int], embed_dim: int):
        super().__init__()
        self.proj = nn.Conv2d(3, embed_dim, kernel_size=patch_size, stride=patch_size)
        nn.init.trunc_normal_(
            self.proj.weight, std=(3 * prod(patch_size)) ** -0.5
        )  # of its fan-in, as the paper's code
        assert self.proj.bias is not None
        nn.init.zeros_(self.proj.bias)

    def forward(self, images: Tensor) -> Tensor:  # [B, 3, height, width]
        x = self.proj(images)  # [B, D, rows, columns]
        return x.permute(0, 2, 3, 1).flatten(1, 2)  # [B, rows, columns, D] -> [B, N - 1, D]


class Attention(nn.Module):
    """Multi-head self-attention: softmax(q k' / sqrt(D/H)) v, in every head."""

    def __init__(self, embed_dim: int, num_heads: int):
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(embed_dim, 3 * embed_dim)
        self.proj = nn.Linear(embed_dim, embed_dim)

    def forward(self, x: Tensor) -> Tensor:  # [B, N, D]
        q, k, v = self.qkv(x).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)  # each [B, H, N, D/H]
        x = F.scaled_dot_product_attention(q, k, v)  # scaled by 1 / sqrt(D/H)
        return self.proj(x.transpose(1, 2).flatten(2))  # [B, N, D]


class MLP(nn.Module):
    """Two layers with GELU between, applied to every token alone."""

    def __init__(self, embed_dim: int, hidden_dim: int):
        super().__init__()
        self.fc1 = nn.Linear(embed_dim, hidden_dim)
        self.fc2 = nn.Linear(hidden_dim, embed_dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    """One pre-norm encoder block: tokens look at each other, then each thinks for itself."""

    def __init__(self, embed_dim: int, num_heads: int, mlp_ratio: float, drop_path: float):
        super().__init__()
        self.norm1 = nn.LayerNorm(embed_dim, eps=NORM_EPS)
        self.attn = Attention(embed_dim, num_heads)
        self.norm2 = nn.LayerNorm(embed_dim, eps=NORM_EPS)
        self.mlp = MLP(embed_dim, int(embed_dim * mlp_ratio))
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.attn(self.norm1(x)))
        return x + self.drop_path(self.mlp(self.norm2(x)))


class VisionTransformer(nn.Module):
    """Patches, a CLS token, learned positions, `depth` blocks, and a linear head on the CLS token.

    images [B, 3, height, width] -> logits [B, num_classes]. `drop_path` is the rate of the last block; it grows
    linearly from 0. `position_std` is the deviation of the positions' initial values: the paper's is small beside the
    patches, and little data learns where a patch lies much sooner from a larger one. Raises ValueError when the
    patches do not tile the image, or the heads do not divide the width.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        image_size: tuple[int, int] = (224, 224),
        patch_size: int = 16,
        embed_dim: int,
        depth: int,
        num_heads: int,
        mlp_ratio: float = 4.0,
        drop_path: float = 0.0,
        position_std: float = 0.02,
    ):
        super().__init__()
        if min(patch_size, embed_dim, depth, num_heads) < 1 or mlp_ratio <= 0:
            raise ValueError("patch_size, embed_dim, depth, num_heads and mlp_ratio must be positive")
        if any(side % patch_size for side in image_size):
            raise ValueError(f"patch_size {patch_size} does not divide image_size {list(image_size)}")
        if embed_dim % num_heads:
            raise ValueError(f"num_heads {num_heads} does not divide embed_dim {embed_dim}")
        rows, columns = (side // patch_size for side in image_size)
        self.patch_embed = PatchEmbedding((patch_size, patch_size), embed_dim)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, embed_dim))
        self.pos_embed = nn.Parameter(torch.empty(1, 1 + rows * columns, embed_dim))
        rates = [drop_path * i / max(depth - 1, 1) for i in range(depth)]
        self.blocks = nn.Sequential(*(Block(embed_dim, num_heads, mlp_ratio, rate) for rate in rates))
        self.norm = nn.LayerNorm(embed_dim, eps=NORM_EPS)
        self.head = nn.Linear(embed_dim, num_classes)
        self.initialize(position_std)

    def initialize(self, position_std: float) -> None:
        """Draw the paper's initial weights: Xavier in the blocks, normal positions, a head of zeros."""
        for module in self.blocks.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        for module in self.blocks.modules():
            if isinstance(module, Attention):
                for weight in module.qkv.weight.chunk(3):  # three matrices in one, drawn as three
                    nn.init.xavier_uniform_(weight)
        nn.init.normal_(self.cls_token, std=1e-6)
        nn.init.normal_(self.pos_embed, std=position_std)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def embed(self, images: Tensor) -> Tensor:
        """Return the tokens that enter the encoder: [B, N, D], CLS first, positions added."""
        patches = self.patch_embed(images)  # [B, N - 1, D]
        cls = self.cls_token.expand(len(patches), -1, -1)
        return torch.cat([cls, patches], dim=1) + self.pos_embed

    def forward(self, images: Tensor) -> Tensor:
        x = self.blocks(self.embed(images))  # [B, N, D]
        return self.head(self.norm(x)[:, 0])  # [B, num_classes]
