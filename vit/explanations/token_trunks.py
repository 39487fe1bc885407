"""A Vision Transformer as explanations see it, ours or timm's, and its attention, which fused kernels never write.

B images, H heads, N tokens of which P are the prefix, Q queries: N, or the few that the head sees of the last block.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import torch
from torch import Tensor, nn

from ..errors import UserError
from ..models.attention import Attention
from ..models.blocks import is_pre_norm
from ..models.mixers import is_attention
from ..models.vision_transformer import POOLS, PoolName, own_transformer
from .hooks import hooked

SAME = 1e-4  # of the largest value: heads' outputs, computed twice in float32
OTHERS_POOLS: dict[str, PoolName] = {"token": "cls", "avg": "mean"}  # as timm calls ours
NEEDED = ("qkv", "q_norm", "k_norm", "scale", "num_heads", "proj")  # of timm's attention, to write its weights down


@dataclass(frozen=True)
class TokenTrunk:
    """Blocks of attention over the patches of a regular grid, the norm behind them, and how the head takes its tokens.

    `before_last_attention` is the norm whose output the last attention takes, None where norms stand elsewhere.
    """

    attentions: Sequence[nn.Module]
    norm: nn.Module
    before_last_attention: nn.Module | None
    prefix: int
    patch_size: tuple[int, int]
    pool: PoolName

    def grid_of(self, images: Tensor) -> tuple[int, int]:
        """Return rows and columns of the patches of images [B, 3, height, width]."""
        return images.shape[2] // self.patch_size[0], images.shape[3] // self.patch_size[1]

    def on_grid(self, values: Tensor, images: Tensor) -> Tensor:
        """Return values [..., N] of all tokens as a map of the patches alone: [..., rows, columns]."""
        return values[..., self.prefix :].unflatten(-1, self.grid_of(images))


@dataclass(frozen=True)
class BlockAttention:
    """What one block's heads attend to, rows summing to 1, and a score's gradients by that: [B, H, Q, N] each."""

    weights: Tensor
    gradients: Tensor | None


def token_trunk(module: nn.Module) -> TokenTrunk | None:
    """Return a module's trunk of tokens, or None where it has none that can be followed: a CNN, another's mixer."""
    if transformer := own_transformer(module):
        if not all(map(is_attention, transformer.blocks)) or transformer.pool is POOLS["map"]:
            return None
        side, pre_norm = transformer.patch_size, is_pre_norm(transformer.blocks[-1])
        return _trunk(transformer, transformer.num_prefix, (side, side), _name_of(transformer.pool), pre_norm)
    return _trunk_of_timm(module)


def attention_of(
    module: nn.Module, trunk: TokenTrunk, images: Tensor, score: Callable[[Tensor], Tensor] | None = None
) -> Iterator[BlockAttention]:
    """Yield the attention of every block, from the first to the last, with `score`'s gradients where one is given.

    A = softmax(q k' / sqrt(d)) is written down again from what entered the attention, and dy/dA = (dy/dO) V' follows
    from the gradient at the heads' outputs O = A V: the model itself runs as it always does. `score` makes one number
    of the logits [B, classes]. Raises UserError where O is not A V: an attention of another kind.
    """
    taken: list[Tensor] = []
    joined: list[Tensor] = []
    keep_taken = lambda part, arguments, result: taken.append(arguments[0])  # noqa: E731
    keep_joined = lambda part, arguments, result: joined.append(arguments[0])  # noqa: E731
    ends = [_end_of_heads(attention) for attention in trunk.attentions]
    with torch.set_grad_enabled(score is not None), hooked(trunk.attentions, keep_taken), hooked(ends, keep_joined):
        logits = module(images.detach().requires_grad_(score is not None))
        slopes = torch.autograd.grad(score(logits), joined) if score else [None] * len(joined)
    for attention, tokens, outputs, slope in zip(trunk.attentions, taken, joined, slopes, strict=True):
        yield _written_down(attention, tokens.detach(), outputs.detach(), slope)


@torch.no_grad()
def _written_down(attention: nn.Module, tokens: Tensor, outputs: Tensor, slope: Tensor | None) -> BlockAttention:
    q, k, v = _heads(attention, tokens)
    q = q[:, :, : outputs.shape[1]]
    weights = (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).softmax(-1)
    apart = _by_head(outputs, q.shape[1])
    if float((weights @ v - apart).abs().max()) > SAME * max(float(apart.abs().max()), 1e-12):
        raise UserError(f"{type(attention).__name__} is not softmax(q k') v alone: its weights cannot be written down")
    return BlockAttention(weights, None if slope is None else _by_head(slope, q.shape[1]) @ v.transpose(-2, -1))


def _by_head(outputs: Tensor, heads: int) -> Tensor:
    return outputs.unflatten(-1, (heads, -1)).transpose(1, 2)  # [B, Q, D] -> [B, H, Q, D/H]


def _heads(attention: nn.Module, tokens: Tensor) -> Sequence[Tensor]:
    """Return queries, keys and values, [B, H, N, D/H] each."""
    if isinstance(attention, Attention):
        return attention.heads(tokens)
    qkv, q_norm, k_norm = (attention.get_submodule(name) for name in ("qkv", "q_norm", "k_norm"))
    q, k, v = qkv(tokens).unflatten(-1, (3, attention.num_heads, -1)).permute(2, 0, 3, 1, 4)
    return q_norm(q), k_norm(k), v


def _end_of_heads(attention: nn.Module) -> nn.Module:
    """Return the part that the joined outputs of the heads enter: timm's norm before the projection, if there."""
    return attention.get_submodule("norm" if hasattr(attention, "norm") else "proj")


def _name_of(pool: Callable[[Tensor, int], Tensor]) -> PoolName:
    names: dict[Any, PoolName] = {POOLS[name]: name for name in get_args(PoolName)}
    return names[pool]


def _trunk(module: nn.Module, prefix: int, patch_size: tuple[int, int], pool: PoolName, pre_norm: bool) -> TokenTrunk:
    blocks = list(module.get_submodule("blocks").children())
    return TokenTrunk(
        attentions=[block.get_submodule("attn") for block in blocks],
        norm=module.get_submodule("norm"),
        before_last_attention=blocks[-1].get_submodule("norm1") if pre_norm else None,
        prefix=prefix,
        patch_size=patch_size,
        pool=pool,
    )


def _trunk_of_timm(module: nn.Module) -> TokenTrunk | None:
    pool = OTHERS_POOLS.get(getattr(module, "global_pool", ""))
    blocks = list(getattr(module, "blocks", nn.Sequential()).children())
    prefix = getattr(module, "num_prefix_tokens", None)
    tiles = getattr(getattr(module, "patch_embed", None), "patch_size", None)
    followed = all(hasattr(getattr(block, "attn", None), name) for block in blocks for name in NEEDED)
    if pool is None or not blocks or not followed or tiles is None or prefix is None:
        return None
    if pool == "cls" and getattr(module, "head_dist", None) is not None:
        pool = "cls_dist"
    from timm.models.vision_transformer import ResPostBlock  # the module is timm's: nothing more is imported

    pre_norm = not any(isinstance(block, ResPostBlock) for block in blocks)
    return _trunk(module, prefix, (int(tiles[0]), int(tiles[1])), pool, pre_norm)
