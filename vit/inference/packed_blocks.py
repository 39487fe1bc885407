"""A Vision Transformer's blocks for inference on CPUs: packed linear maps, fewer passes over memory.

A GELU and the sum with the residual are computed inside of the products, LayerScale lies in the weights, and tokens
stay in bf16 from block to block. B images, N tokens, D embed_dim, H heads.
"""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from ..kernels.bf16 import softmax_of_scores
from ..kernels.packed_linear import BF16, Int8Linear, PackedLinear, bf16_supported
from ..models.attention import Attention, attend_from_first
from ..models.blocks import MLP, Block, LastBlock, LayerScale, is_pre_norm
from ..models.mixers import is_plain_attention
from ..models.vision_transformer import own_transformer

Linear = type[PackedLinear] | type[Int8Linear]


def pack_blocks(module: nn.Module, linear: Linear = PackedLinear) -> bool:
    """Put packed blocks in the place of a Vision Transformer's own, where they are of the usual kind; say whether."""
    transformer = own_transformer(module)
    if transformer is None or not bf16_supported() or not all(map(is_usual, transformer.blocks)):
        return False
    rows = transformer.grid[0] * transformer.grid[1] + transformer.num_prefix
    for i, block in enumerate(transformer.blocks):
        transformer.blocks[i] = PackedBlock(block, rows, linear)  # pyright: ignore[reportArgumentType]
    return True


def is_usual(block: Any) -> bool:
    """Whether a block has layers that nothing was put around, in fp32 on the CPU, and GELU between its two last."""
    attention, mlp = block.attn, block.mlp
    if not (is_plain_attention(block) and is_pre_norm(block) and type(mlp) is MLP and mlp.activation is F.gelu):
        return False
    layers = [attention.qkv, attention.proj, mlp.fc1, mlp.fc2]
    return all(type(layer) is nn.Linear and layer.weight.device.type == "cpu" for layer in layers)


class PackedAttention(Attention):
    """Multi-head self-attention in bf16; `few`: whether it may be asked for the first tokens alone."""

    def __init__(self, layer: Attention, rows: int, factors: Tensor | None, linear: Linear, few: bool):
        nn.Module.__init__(self)
        self.num_heads = layer.num_heads
        self.unpacked = [parameter.detach().to(BF16) for parameter in layer.qkv.parameters()] if few else []
        self.qkv = linear(layer.qkv, rows)
        self.proj = linear(layer.proj, rows, factors)

    def attended(self, x: Tensor, queries: int | None) -> Tensor:
        """Return what the heads give together for all tokens or the first, before the last layer: [B, N, D]."""
        if queries is not None:
            weight, bias = self.unpacked
            return attend_from_first(x, queries, weight, bias, self.num_heads)
        images, tokens, width = x.shape
        q, k, v = self.stacked_heads(x).reshape(3, images * self.num_heads, tokens, -1)  # each [B H, N, D/H]
        values = softmax_of_scores(q, k) @ v
        return values.view(images, self.num_heads, -1, q.shape[-1]).transpose(1, 2).reshape(images, -1, width)


class PackedMLP(MLP):
    """Two layers with a GELU between."""

    def __init__(self, layers: MLP, rows: int, factors: Tensor | None, linear: Linear):
        nn.Module.__init__(self)
        self.fc1 = linear(layers.fc1, rows)
        self.fc2 = linear(layers.fc2, rows, factors)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.fc1.gelu(x))


class PackedBlock(LastBlock):
    """What a `Block` computes in evaluation, in bf16; its parts can be called as those of any block."""

    def __init__(self, block: Block, rows: int, linear: Linear):
        nn.Module.__init__(self)
        self.norm1, self.norm2 = block.norm1, block.norm2
        self.queries = block.queries
        few = self.queries is not None
        self.attn = PackedAttention(block.attn, rows, factors(block.ls1), linear, few)
        self.mlp = PackedMLP(block.mlp, rows, factors(block.ls2), linear)
        self.ls1 = self.ls2 = nn.Identity()  # inside of the weights

    def forward(self, x: Tensor) -> Tensor:  # [B, N, D]
        x = x.to(BF16)
        attended = self.attn.attended(self.norm1(x), self.queries)
        x = self.attn.proj.plus(attended, x[:, : self.queries].contiguous())
        return self.mlp.fc2.plus(self.mlp.fc1.gelu(self.norm2(x)), x)


def factors(scale: nn.Module) -> Tensor | None:
    return scale.gamma.detach() if isinstance(scale, LayerScale) else None
