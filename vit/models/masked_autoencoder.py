"""Masked autoencoding: a Vision Transformer sees a quarter of the patches, and a light decoder draws the others.

He et al. 2022, arXiv:2111.06377. B images, N patches, K of them kept, D embed_dim, P patch_size.
"""

from functools import partial

import torch
from torch import Tensor, nn

from .attention import Attention
from .blocks import Block
from .mixers import is_plain_attention
from .patch_prediction import PatchPrediction, decoder_shape
from .positions import fixed_positions
from .vision_transformer import VisionTransformer

FIXED_MASK = 0  # the seed of the masks that validation is scored by


class MaskedAutoencoder(PatchPrediction):
    """A trunk that sees some patches, and a decoder that draws the others from what it made of them.

    The decoder is `decoder_depth` blocks of width `decoder_dim`, by default half of the trunk's. In evaluation the
    masks never change. Raises ValueError for a trunk that needs every patch.
    """

    def __init__(
        self,
        trunk: VisionTransformer,
        *,
        mask_ratio: float = 0.75,
        decoder_dim: int | None = None,
        decoder_depth: int = 1,
        normalize_targets: bool = False,
    ):
        super().__init__(trunk, normalize_targets)
        if not all(is_plain_attention(block) for block in trunk.blocks) or trunk.patch_dropout.rate:
            raise ValueError(
                "masked pretraining leaves patches out: mixer attention, no rotary positions or patch_dropout"
            )
        self.mask_ratio = mask_ratio
        width, heads = decoder_shape(trunk, decoder_dim)
        self.embed = nn.Linear(trunk.embed_dim, width)
        self.mask_token = nn.Parameter(torch.empty(1, 1, width))
        mix = partial(Attention, width, heads)
        norm = partial(nn.LayerNorm, eps=trunk.norm_eps)
        self.blocks = nn.Sequential(
            *(
                Block(width, mix, 4 * width, "gelu", norm, lambda _: nn.Identity(), "pre", 0.0)
                for _ in range(decoder_depth)
            )
        )
        self.norm = norm(width)
        self.out = nn.Linear(width, 3 * trunk.patch_size**2)
        nn.init.normal_(self.mask_token, std=0.02)

    def predicted(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return self.drawn(images, self.order_of(images))

    def order_of(self, images: Tensor) -> Tensor:
        """Return for each image its patches in the order in which they are kept: [B, N]."""
        rows, columns = self.trunk.grid_of(images)
        count = rows * columns
        if self.training:
            return torch.rand(len(images), count, device=images.device).argsort(1)
        generator = torch.Generator().manual_seed(FIXED_MASK)
        return torch.rand(len(images), count, generator=generator).argsort(1).to(images.device)

    def drawn(self, images: Tensor, order: Tensor) -> tuple[Tensor, Tensor]:
        """Return all patches as drawn [B, N, 3 P P], in float32, and which of them were hidden [B, N], 1 or 0."""
        kept = order[:, : int(order.shape[1] * (1 - self.mask_ratio))]
        prefix, patches = self.embed(self.seen(images, kept)).split([self.trunk.num_prefix, kept.shape[1]], 1)
        tokens = self.mask_token.expand(*order.shape, -1).to(patches.dtype)
        tokens = tokens.scatter(1, kept.unsqueeze(2).expand(-1, -1, tokens.shape[2]), patches)
        tokens = tokens + fixed_positions("sincos_2d", self.trunk.grid_of(images), tokens.shape[2]).to(tokens)
        x = self.norm(self.blocks(torch.cat([prefix, tokens], dim=1)))
        hidden = torch.ones(order.shape, device=order.device).scatter(1, kept, 0.0)
        return self.out(x[:, self.trunk.num_prefix :]).float(), hidden

    def seen(self, images: Tensor, kept: Tensor) -> Tensor:
        """Return what the trunk makes of the prefix and of the patches that are kept [B, K]: [B, prefix + K, D]."""
        trunk = self.trunk
        tokens = trunk.embed(images)
        patches = tokens[:, trunk.num_prefix :].gather(1, kept.unsqueeze(2).expand(-1, -1, tokens.shape[2]))
        return trunk.norm(trunk.blocks(trunk.norm_pre(torch.cat([tokens[:, : trunk.num_prefix], patches], dim=1))))
