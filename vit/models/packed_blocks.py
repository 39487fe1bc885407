"""A Vision Transformer's blocks for inference in bf16 on CPUs: weights packed for oneDNN, fewer passes over memory.

A GELU and the sum with the residual are computed inside of the products, the heads' scale and LayerScale lie in the
weights, and tokens stay in bf16 from block to block. B images, N tokens, D embed_dim, H heads.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .bf16_kernels import BF16, supported
from .vision_transformer import MLP, Attention, Block, LayerScale, VisionTransformer


def pack_blocks(module: nn.Module) -> bool:
    """Put packed blocks in the place of a Vision Transformer's own, where it is of the usual kind; say whether."""
    if not isinstance(module, VisionTransformer) or type(module.blocks) is not nn.Sequential or not supported():
        return False
    if not all(isinstance(block, Block) and is_usual(block) for block in module.blocks):
        return False
    rows = module.grid[0] * module.grid[1] + module.num_prefix
    module.blocks = nn.Sequential(*(PackedBlock(block, rows) for block in module.blocks))  # pyright: ignore[reportArgumentType]
    return True


def is_usual(block: Block) -> bool:
    """Whether a block has layers that nothing was put around, in fp32 on the CPU, and GELU between its two last."""
    attention, mlp = block.attn, block.mlp
    layers = [attention.qkv, attention.proj, mlp.fc1, mlp.fc2]
    plain = type(attention) is Attention and type(mlp) is MLP and mlp.activation is F.gelu
    return plain and all(type(layer) is nn.Linear and layer.weight.device.type == "cpu" for layer in layers)


class PackedBlock(nn.Module):
    """What a `Block` computes in evaluation, rounded to bf16 where it is kept."""

    def __init__(self, block: Block, rows: int):
        super().__init__()
        self.num_heads = block.attn.num_heads
        self.norm1, self.norm2 = block.norm1, block.norm2
        size = block.attn.proj.in_features // self.num_heads
        queries = block.attn.qkv.weight.new_ones(3, self.num_heads * size)
        queries[0] = size**-0.5
        self.qkv = PackedLinear(block.attn.qkv, queries.flatten(), rows)
        self.proj = PackedLinear(block.attn.proj, factors(block.ls1), rows)
        self.fc1 = PackedLinear(block.mlp.fc1, None, rows)
        self.fc2 = PackedLinear(block.mlp.fc2, factors(block.ls2), rows)

    def forward(self, x: Tensor) -> Tensor:  # [B, N, D]
        x = x.to(BF16)
        x = self.proj.plus(attended(self.qkv(self.norm1(x)), self.num_heads), x)
        return self.fc2.plus(self.fc1.gelu(self.norm2(x)), x)


def factors(scale: nn.Module) -> Tensor | None:
    return scale.gamma.detach() if isinstance(scale, LayerScale) else None


class PackedLinear(nn.Module):
    """x [..., in] -> factors * (x weight' + bias) [..., out], the weights laid out for about so many rows of x."""

    def __init__(self, layer: nn.Linear, factors: Tensor | None, rows: int):
        super().__init__()
        weight, bias = layer.weight.detach(), layer.bias.detach()
        if factors is not None:
            weight, bias = factors.unsqueeze(1) * weight, factors * bias
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight.to(BF16), rows)  # opaque, and so no buffer
        self.bias = bias.to(BF16)

    def forward(self, x: Tensor) -> Tensor:
        return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], "")

    def gelu(self, x: Tensor) -> Tensor:
        return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "gelu", [], "none")

    def plus(self, x: Tensor, other: Tensor) -> Tensor:
        return torch.ops.mkldnn._linear_pointwise.binary(x, other, self.weight, self.bias, "add")


def attended(qkv: Tensor, num_heads: int) -> Tensor:
    """Return softmax(q k') v of every head, [B, N, D], of scaled queries, keys and values [B, N, 3 D]."""
    images, tokens, width = qkv.shape
    parts = qkv.view(images, tokens, 3, num_heads, -1).permute(2, 0, 3, 1, 4).reshape(3, images * num_heads, tokens, -1)
    q, k, v = parts  # each [B H, N, D/H]
    values = torch.bmm(torch.bmm(q, k.transpose(1, 2)).softmax(-1), v)
    return values.view(images, num_heads, tokens, -1).transpose(1, 2).reshape(images, tokens, width // 3)
