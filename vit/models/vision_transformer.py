"""The Vision Transformer (Dosovitskiy et al. 2021, arXiv:2010.11929).

B images, N tokens (the prefix: CLS and whatever stands beside it; then the patches), D embed_dim, H heads. Module names
are timm's, so that weights pass both ways. The paper's model is the default; the options say where later families of
weights differ from it.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from math import prod
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from .attention import draw_maps
from .blocks import ActivationName, Block, LastBlock, LayerScale, NormOrder, PatchEmbedding
from .decoder import AttentionPool, ClassQueries
from .interface import Structure
from .label_sequence import LabelSequence, words_of
from .mixers import MixerName, mixer_of
from .patch_dropout import PatchDropout
from .positions import FIXED, Grid, PositionsName, check_proportions, fixed_positions
from .resampling import resample_positions

PoolName = Literal["cls", "mean", "cls_mean", "cls_dist", "map"]
HeadName = Literal["linear", "queries", "sequence"]
Rate = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Deviation = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Scale = Annotated[float, Field(allow_inf_nan=False)] | None
Count = Annotated[int, Field(ge=0)]


def class_token_of(x: Tensor, prefix: int) -> Tensor:
    return x[:, 0]


def mean_of_patches(x: Tensor, prefix: int) -> Tensor:
    return x[:, prefix:].mean(1)


def class_token_and_mean(x: Tensor, prefix: int) -> Tensor:
    return torch.cat([class_token_of(x, prefix), mean_of_patches(x, prefix)], dim=-1)


def both_class_tokens(x: Tensor, prefix: int) -> Tensor:
    return x[:, :2]


def everything(x: Tensor, prefix: int) -> Tensor:
    return x


POOLS: dict[str, Callable[[Tensor, int], Tensor]] = {  # (tokens [B, N, D], tokens in the prefix) -> features
    "cls": class_token_of,
    "mean": mean_of_patches,
    "cls_mean": class_token_and_mean,
    "cls_dist": both_class_tokens,
    "map": everything,  # for a query that looks at them: decoder.AttentionPool
}
# Ends of names: learned, but no weights of a linear map.
PLACES = ("pos_embed", "attn_pool.latent", ".frequencies", "head.queries", "head.places")
CLASS_TOKENS = {"cls": 1, "cls_dist": 2}  # all that the head sees of the last block


class VisionTransformer(nn.Module):
    """Patches, a CLS token, learned positions, `depth` blocks, and a linear head on the CLS token.

    images [B, 3, height, width] -> logits [B, num_classes], or features where num_classes is 0. Images of another size
    than `image_size` are taken too: the positions are then resampled to their grid. Where the head sees class tokens
    alone, the last block computes no others, unless within `all_tokens`. `drop_path` is the rate of the last
    block; it grows linearly from 0. `patch_dropout` is the part of the patches that a training step leaves out, drawn
    anew for every image; evaluation sees all of them. `position_std` is the deviation of the positions' initial values:
    the paper's is small beside the patches, and little data learns where a patch lies much sooner from a larger one.

    What it is made of: `positions`, learned, computed (positions.py), or within the attention (rotary.py); `norm_order`
    of the blocks (blocks.py); the `mixer` of the tokens, attention or a rival (mixers.py), most of which mix the
    patches alone; and the `head`: linear behind a `pool`; or looking at all tokens, by a query a class (decoder.py), or
    for labels one after another (label_sequence.py), whose `label_paths` and `most_labels` training reads off the data.

    Where other families of weights differ: `activation` and `norm_eps`; `pool`, the patches' mean instead of the CLS
    token or beside it, or a distillation token with a head of its own; `norm_after_pool`; `layer_scale`, its initial
    value; `registers`, further tokens of the prefix; `class_position`, whether the prefix has positions; `norm_before`
    the blocks, and `patch_bias`; `representation_size`, a tanh layer before the head.

    Raises ValueError when the patches do not tile the image, or the heads do not divide the width.
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
        mlp_ratio: Positive = 4.0,
        drop_path: Rate = 0.0,
        patch_dropout: Rate = 0.0,
        positions: PositionsName = "learned",
        position_std: Deviation = 0.02,
        norm_order: NormOrder = "pre",
        mixer: MixerName = "attention",
        activation: ActivationName = "gelu",
        norm_eps: Positive = 1e-6,
        pool: PoolName = "cls",
        head: HeadName = "linear",
        label_paths: tuple[tuple[Count, ...], ...] | None = None,
        most_labels: Annotated[int, Field(ge=1)] = 1,
        norm_after_pool: bool = False,
        layer_scale: Scale = None,
        class_token: bool = True,
        class_position: bool = True,
        registers: Count = 0,
        norm_before: bool = False,
        patch_bias: bool = True,
        representation_size: Count = 0,
    ):
        super().__init__()
        check_shape(image_size, patch_size, embed_dim, depth, num_heads, mlp_ratio)
        check_head(head, pool, class_token, norm_after_pool, representation_size)
        self.patch_size, self.embed_dim, self.positions, self.norm_eps = patch_size, embed_dim, positions, norm_eps
        self.grid = (image_size[0] // patch_size, image_size[1] // patch_size)
        seen = pool if head == "linear" else "all"  # of the tokens, by the head
        self.pool = POOLS.get(seen, everything)
        norm = partial(nn.LayerNorm, eps=norm_eps)
        scale = nn.Identity if layer_scale is None else partial(LayerScale, initial=layer_scale)

        self.patch_embed = PatchEmbedding((patch_size, patch_size), embed_dim, patch_bias)
        counts = {"cls_token": int(class_token), "dist_token": int(pool == "cls_dist"), "reg_token": registers}
        self.add_prefix(counts)
        mix = mixer_of(mixer, positions, self.grid, self.num_prefix, embed_dim, num_heads, patch_dropout)
        self.add_positions(class_position)
        self.patch_dropout = PatchDropout(patch_dropout, self.num_prefix)
        self.norm_pre = norm(embed_dim) if norm_before else nn.Identity()
        hidden_dim = round(embed_dim * mlp_ratio)
        queries = CLASS_TOKENS.get(seen) if mixer == "attention" else None
        arguments = (embed_dim, mix, hidden_dim, activation, norm, scale, norm_order)
        *rates, last_rate = (drop_path * i / max(depth - 1, 1) for i in range(depth))
        blocks = [Block(*arguments, rate) for rate in rates]
        self.blocks = nn.Sequential(*blocks, LastBlock(*arguments, last_rate, queries=queries))
        self.norm = nn.Identity() if norm_after_pool or norm_order == "post" else norm(embed_dim)
        self.fc_norm = norm(embed_dim) if norm_after_pool else nn.Identity()
        across = (embed_dim, num_heads, hidden_dim, activation, norm)
        self.attn_pool = AttentionPool(*across) if seen == "map" else nn.Identity()
        width = embed_dim * 2 if pool == "cls_mean" else embed_dim
        self.pre_logits = representation(width, representation_size)
        width = representation_size or width
        heads: dict[HeadName, Callable[[], nn.Module]] = {
            "linear": lambda: nn.Linear(width, num_classes),
            "queries": lambda: ClassQueries(num_classes, *across),
            "sequence": lambda: LabelSequence(words_of(label_paths, num_classes), most_labels, *across),
        }
        self.head = heads[head]() if num_classes else nn.Identity()
        self.head_dist = nn.Linear(width, num_classes) if num_classes and pool == "cls_dist" else None
        self.initialize(position_std)

    def add_prefix(self, counts: dict[str, int]) -> None:
        """Add the tokens that stand before the patches, by the names of their parameters."""
        self.prefix = [name for name, count in counts.items() if count]
        self.num_prefix = sum(counts.values())
        for name in self.prefix:
            self.register_parameter(name, nn.Parameter(torch.zeros(1, counts[name], self.embed_dim)))

    def add_positions(self, of_prefix: bool) -> None:
        """Add what says where a token stands, where that is learned; raises ValueError for a width it cannot have."""
        learned = self.positions == "learned"
        self.unplaced = 0 if of_prefix and learned else self.num_prefix
        if learned:
            places = self.num_prefix - self.unplaced + prod(self.grid)
            self.pos_embed = nn.Parameter(torch.empty(1, places, self.embed_dim))
        elif self.positions in FIXED:
            fixed_positions(self.positions, (1, 1), self.embed_dim)

    def initialize(self, position_std: float) -> None:
        """Draw the paper's initial weights: Xavier in the blocks, normal positions, a head of zeros."""
        draw_maps(self.blocks)
        for name in self.prefix:
            nn.init.normal_(self.get_parameter(name), std=1e-6)
        if self.positions == "learned":
            nn.init.normal_(self.pos_embed, std=position_std)
        for head in (self.head, self.head_dist):
            if isinstance(head, nn.Linear):
                nn.init.zeros_(head.weight)
                nn.init.zeros_(head.bias)

    def structure(self) -> Structure:
        """Return what the encoder is made of."""
        return Structure(
            family="vit",
            heads=("head",) if self.head_dist is None else ("head", "head_dist"),
            blocks=tuple(f"blocks.{i}" for i in range(len(self.blocks))),
            behind_blocks=("norm", "attn_pool", "fc_norm"),
            undecayed=frozenset(
                (*self.prefix, *(name for name, _ in self.named_parameters() if name.endswith(PLACES)))
            ),
        )

    def grid_of(self, images: Tensor) -> Grid:
        """Return rows and columns of the patches of images [B, 3, height, width]."""
        return images.shape[2] // self.patch_size, images.shape[3] // self.patch_size

    def embed(self, images: Tensor) -> Tensor:
        """Return the tokens that enter the encoder: [B, N, D], the prefix first, positions added."""
        patches = self.patch_embed(images)  # [B, rows * columns, D]
        prefix = [self.get_parameter(name).expand(images.shape[0], -1, -1) for name in self.prefix]
        x = torch.cat([*prefix, patches], dim=1)
        grid = self.grid_of(images)
        if hasattr(self.blocks[0].attn, "grid"):  # the patches' number alone tells their places there
            check_proportions(grid, self.grid)
        positions = self.positions_on(grid)
        return x if positions is None else x + positions.to(x.dtype)

    def positions_on(self, grid: Grid) -> Tensor | None:
        """Return what is added to the tokens of a grid of patches: [1, N, D], zeros for a prefix without positions."""
        if self.positions == "learned":
            positions = resample_positions(self.pos_embed, self.grid, grid)
        elif self.positions not in FIXED:  # none, or within the attention
            return None
        else:
            positions = fixed_positions(self.positions, grid, self.embed_dim).to(self.patch_embed.proj.weight.device)
        return F.pad(positions, (0, 0, self.unplaced, 0))

    def features(self, images: Tensor) -> Tensor:
        """Return what the head sees: [B, D], of a distilled model [B, 2, D], for queries all tokens [B, N, D]."""
        x = self.blocks(self.norm_pre(self.patch_dropout(self.embed(images))))  # [B, N, D]
        return self.pre_logits(self.fc_norm(self.attn_pool(self.pool(self.norm(x), self.num_prefix))))

    def classify(self, features: Tensor) -> Tensor:
        """Return the logits [B, num_classes]: the head's, or the mean of a distilled model's two."""
        if self.head_dist is None:
            return self.head(features)
        cls, dist = features.unbind(1)
        return (self.head(cls) + self.head_dist(dist)) / 2

    @property
    def takes_targets(self) -> bool:
        """Whether it learns by being told the right labels, one after another, and makes the loss itself."""
        return isinstance(self.head, LabelSequence) and self.head.most_labels > 1

    def forward(self, images: Tensor, targets: Tensor | None = None) -> Any:
        """Return logits [B, num_classes]; with the targets [B, num_classes], where it takes them, loss and logits."""
        features = self.features(images)
        if targets is None:
            return self.classify(features)
        assert isinstance(self.head, LabelSequence)
        return self.head.forced(features, targets)


@contextmanager
def all_tokens(module: nn.Module) -> Iterator[None]:
    """Let a Vision Transformer's last block compute all tokens, for those who look at them; other models do anyway."""
    queries = {block: block.queries for block in module.modules() if isinstance(block, LastBlock)}
    for block in queries:
        block.queries = None
    try:
        yield
    finally:
        for block, count in queries.items():
            block.queries = count


def own_transformer(module: nn.Module) -> VisionTransformer | None:
    """Return a module as the Vision Transformer of this package, for what is made for its blocks alone."""
    return module if isinstance(module, VisionTransformer) else None


def check_shape(
    image_size: tuple[int, int], patch_size: int, embed_dim: int, depth: int, num_heads: int, mlp_ratio: float
) -> None:
    """Raise ValueError for sizes that do not fit together."""
    if min(patch_size, embed_dim, depth, num_heads) < 1 or mlp_ratio <= 0:
        raise ValueError("patch_size, embed_dim, depth, num_heads and mlp_ratio must be positive")
    if any(side % patch_size for side in image_size):
        raise ValueError(f"patch_size {patch_size} does not divide image_size {list(image_size)}")
    if embed_dim % num_heads:
        raise ValueError(f"num_heads {num_heads} does not divide embed_dim {embed_dim}")


def check_head(head: str, pool: str, class_token: bool, norm_after_pool: bool, representation_size: int) -> None:
    """Raise ValueError for a pool without its token, and for what stands before a linear head where another looks."""
    if head == "linear" and pool not in ("mean", "map") and not class_token:
        raise ValueError(f"pool {pool} needs class_token")
    if head != "linear" and (pool == "cls_dist" or norm_after_pool or representation_size):
        raise ValueError(f"head {head} sees all tokens: no pool cls_dist, norm_after_pool or representation_size")


def representation(width: int, size: int) -> nn.Module:
    """Return the layer that the paper's pre-training puts before the head (section 3.1); fine-tuning drops it."""
    if not size:
        return nn.Identity()
    return nn.Sequential(OrderedDict(fc=nn.Linear(width, size), act=nn.Tanh()))
