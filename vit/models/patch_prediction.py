"""Learning from images alone: a Vision Transformer's patches are predicted from others, whichever way.

B images, N patches, P patch_size.
"""

import torch
from torch import Tensor, nn

from .blocks import Block
from .positions import Grid
from .vision_transformer import VisionTransformer


class PatchPrediction(nn.Module):
    """A trunk that learns without labels: (images [B, 3, height, width], whatever) -> the loss, and each image's [B].

    In evaluation it gives each image's loss. `normalize_targets` gives every patch mean 0 and variance 1 first. The
    squared error is the mean over a patch's pixels, and over the patches that were asked for.
    """

    takes_targets = True

    def __init__(self, trunk: VisionTransformer, normalize_targets: bool):
        super().__init__()
        self.trunk, self.normalize_targets = trunk, normalize_targets
        last = trunk.blocks[-1]
        assert isinstance(last, Block)
        last.queries = None  # every token is predicted from

    def predicted(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return every patch as predicted [B, N, 3 P P], in float32, and which were asked for [B, N], 1 or 0."""
        raise NotImplementedError

    def forward(self, images: Tensor, targets: Tensor | None = None) -> Tensor | tuple[Tensor, Tensor]:
        predicted, asked = self.predicted(images)
        apart = (predicted - self.patches(images)).square().mean(-1)  # [B, N]
        losses = (apart * asked).sum(1) / asked.sum(1)
        return losses if targets is None else (losses.mean(), losses.detach())

    @torch.inference_mode()
    def pictures(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return images without what was asked for, which is 0, and with that as predicted: [B, 3, height, width] each.

        Of normalised targets each patch gets the mean and the deviation back that it has in truth.
        """
        predicted, asked = self.predicted(images)
        pixels, marks = self.pixels(images), asked.unsqueeze(2)
        seen = pixels * (1 - marks)
        whole = seen + self.in_truth(predicted, pixels) * marks
        grid = self.trunk.grid_of(images)
        return self.joined(seen, grid), self.joined(whole, grid)

    def patches(self, images: Tensor) -> Tensor:
        """Return every patch as it is to be predicted: [B, N, 3 P P]."""
        pixels = self.pixels(images)
        return (pixels - pixels.mean(-1, keepdim=True)) / spread(pixels) if self.normalize_targets else pixels

    def in_truth(self, predicted: Tensor, pixels: Tensor) -> Tensor:
        """Return predicted patches with the mean and the deviation of the true ones, if they were taken from those."""
        return predicted * spread(pixels) + pixels.mean(-1, keepdim=True) if self.normalize_targets else predicted

    def pixels(self, images: Tensor) -> Tensor:
        """Return the pixels of every patch, row by row, in float32: [B, N, 3 P P]."""
        side = self.trunk.patch_size
        tiles = images.float().unflatten(3, (-1, side)).unflatten(2, (-1, side))  # [B, 3, rows, P, columns, P]
        return tiles.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)

    def joined(self, pixels: Tensor, grid: Grid) -> Tensor:
        """Return images [B, 3, height, width] of their patches' pixels."""
        side = self.trunk.patch_size
        tiles = pixels.unflatten(2, (side, side, 3)).unflatten(1, grid)  # [B, rows, columns, P, P, 3]
        return tiles.permute(0, 5, 1, 3, 2, 4).flatten(4).flatten(2, 3)


def spread(pixels: Tensor) -> Tensor:
    """Return the deviation of every patch's pixels, and of a flat one a little: [B, N, 1]."""
    return (pixels.var(-1, keepdim=True) + 1e-6).sqrt()


def decoder_shape(trunk: VisionTransformer, decoder_dim: int | None) -> tuple[int, int]:
    """Return the decoder's width and heads: the trunk's width of a head, or one that divides what is given."""
    first = trunk.blocks[0]
    assert isinstance(first, Block)
    head = trunk.embed_dim // first.attn.num_heads
    width = decoder_dim or max(head, trunk.embed_dim // 2 // head * head)
    heads = width // head if width % head == 0 else 1
    if width % 4:
        raise ValueError(f"decoder_dim must be a multiple of 4, for its positions, given {width}")
    return width, heads
