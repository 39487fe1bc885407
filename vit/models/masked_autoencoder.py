"""Masked autoencoding: a Vision Transformer sees a quarter of the patches, and a light decoder draws the others.

He et al. 2022, arXiv:2111.06377. B images, N patches, K of them kept, D embed_dim, P patch_size.
"""

from functools import partial
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from .attention import Attention
from .blocks import Block
from .mixers import is_plain_attention
from .positions import Grid, fixed_positions
from .vision_transformer import VisionTransformer

Share = Annotated[float, Field(gt=0, lt=1)]
FIXED_MASK = 0  # the seed of the masks that validation is scored by


class MaskedAutoencoder(nn.Module):
    """A trunk that learns without labels: (images [B, 3, height, width], whatever) -> the loss, and each image's [B].

    The decoder is `decoder_depth` blocks of width `decoder_dim`, by default half of the trunk's. `normalize_targets`
    gives each patch mean 0 and variance 1 first. In evaluation it gives each image's loss behind a mask that never
    changes. Raises ValueError for a trunk that needs every patch.
    """

    takes_targets = True

    def __init__(
        self,
        trunk: VisionTransformer,
        *,
        mask_ratio: Share = 0.75,
        decoder_dim: int | None = None,
        decoder_depth: int = 1,
        normalize_targets: bool = False,
    ):
        super().__init__()
        if not all(is_plain_attention(block) for block in trunk.blocks) or trunk.patch_dropout.rate:
            raise ValueError(
                "masked pretraining leaves patches out: mixer attention, no rotary positions or patch_dropout"
            )
        self.trunk = trunk
        self.mask_ratio, self.normalize_targets = mask_ratio, normalize_targets
        first, last = trunk.blocks[0], trunk.blocks[-1]
        assert isinstance(first, Block) and isinstance(last, Block)
        last.queries = None  # every token is drawn from
        width, heads = decoder_shape(trunk.embed_dim, first.attn.num_heads, decoder_dim)
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

    def forward(self, images: Tensor, targets: Tensor | None = None) -> Tensor | tuple[Tensor, Tensor]:
        drawn, hidden = self.drawn(images, self.order_of(images))
        apart = (drawn - self.patches(images)).square().mean(-1)  # [B, N]
        losses = (apart * hidden).sum(1) / hidden.sum(1)
        return losses if targets is None else (losses.mean(), losses.detach())

    def order_of(self, images: Tensor) -> Tensor:
        """Return for each image its patches in the order in which they are kept: [B, N]."""
        count = (images.shape[2] // self.trunk.patch_size) * (images.shape[3] // self.trunk.patch_size)
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
        grid = (images.shape[2] // self.trunk.patch_size, images.shape[3] // self.trunk.patch_size)
        tokens = tokens + fixed_positions("sincos_2d", grid, tokens.shape[2]).to(tokens)
        x = self.norm(self.blocks(torch.cat([prefix, tokens], dim=1)))
        hidden = torch.ones(order.shape, device=order.device).scatter(1, kept, 0.0)
        return self.out(x[:, self.trunk.num_prefix :]).float(), hidden

    def seen(self, images: Tensor, kept: Tensor) -> Tensor:
        """Return what the trunk makes of the prefix and of the patches that are kept [B, K]: [B, prefix + K, D]."""
        trunk = self.trunk
        tokens = trunk.embed(images)
        patches = tokens[:, trunk.num_prefix :].gather(1, kept.unsqueeze(2).expand(-1, -1, tokens.shape[2]))
        return trunk.norm(trunk.blocks(trunk.norm_pre(torch.cat([tokens[:, : trunk.num_prefix], patches], dim=1))))

    @torch.inference_mode()
    def pictures(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return images without their hidden patches, which are 0, and with those as drawn: [B, 3, height, width] each.

        Of normalised targets each patch gets the mean and the deviation back that it has in truth.
        """
        drawn, hidden = self.drawn(images, self.order_of(images))
        pixels = self.pixels(images)
        if self.normalize_targets:
            drawn = drawn * spread(pixels) + pixels.mean(-1, keepdim=True)
        marks, side = hidden.unsqueeze(2), self.trunk.patch_size
        grid = (images.shape[2] // side, images.shape[3] // side)
        seen = pixels * (1 - marks)
        return joined(seen, grid, side), joined(seen + drawn * marks, grid, side)

    def patches(self, images: Tensor) -> Tensor:
        """Return every patch as it is to be drawn: [B, N, 3 P P]."""
        pixels = self.pixels(images)
        return (pixels - pixels.mean(-1, keepdim=True)) / spread(pixels) if self.normalize_targets else pixels

    def pixels(self, images: Tensor) -> Tensor:
        """Return the pixels of every patch, row by row, in float32: [B, N, 3 P P]."""
        side = self.trunk.patch_size
        tiles = images.float().unflatten(3, (-1, side)).unflatten(2, (-1, side))  # [B, 3, rows, P, columns, P]
        return tiles.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)


def joined(pixels: Tensor, grid: Grid, side: int) -> Tensor:
    """Return images [B, 3, height, width] of their patches' pixels [B, N, 3 P P]."""
    tiles = pixels.unflatten(2, (side, side, 3)).unflatten(1, grid)  # [B, rows, columns, P, P, 3]
    return tiles.permute(0, 5, 1, 3, 2, 4).flatten(4).flatten(2, 3)


def spread(pixels: Tensor) -> Tensor:
    """Return the deviation of every patch's pixels, and of a flat one a little: [B, N, 1]."""
    return (pixels.var(-1, keepdim=True) + 1e-6).sqrt()


def decoder_shape(embed_dim: int, num_heads: int, decoder_dim: int | None) -> tuple[int, int]:
    """Return the decoder's width and heads: the trunk's width of a head, or one that divides what is given."""
    head = embed_dim // num_heads
    width = decoder_dim or max(head, embed_dim // 2 // head * head)
    heads = width // head if width % head == 0 else 1
    if width % 4:
        raise ValueError(f"decoder_dim must be a multiple of 4, for its positions, given {width}")
    return width, heads
