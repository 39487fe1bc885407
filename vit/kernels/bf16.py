"""A Transformer block's linear maps, GELU and attention in bf16 on CPUs, with their ways back.

They compute what autocast does, with fewer passes over memory: a bias is added inside of its product and its gradient
is a product too, queries, keys and values stay in one tensor, and gradients are written over what nobody needs again.
B images, N tokens, D embed_dim, H heads.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function

from ..models.attention import Attention
from ..models.blocks import MLP
from .packed_linear import BF16

CACHED_SCORES = 2**20  # of 2 bytes: 8 % less time for attention in a ViT-S/16's step than all at once (AMD EPYC)
MOST_KEPT_TOKENS = 1024  # a square of them for every head


class Bf16Attention(Attention):
    """The layers of an attention; as its parent for few queries, outside of autocast, and around adapted layers."""

    def __init__(self, attention: Attention):
        nn.Module.__init__(self)
        self.training = attention.training
        self.num_heads = attention.num_heads
        self.qkv, self.proj = attention.qkv, attention.proj

    def forward(self, x: Tensor, queries: int | None = None) -> Tensor:  # [B, N, D]
        if queries is not None or not applies(self.qkv, self.proj):
            return super().forward(x, queries)
        return linear(self.proj, HeadsInOne.apply(linear(self.qkv, x), self.num_heads))


class Bf16MLP(MLP):
    """An MLP's layers, a GELU between; outside of autocast, and around adapted layers, as its parent computes it."""

    def __init__(self, mlp: MLP):
        nn.Module.__init__(self)
        self.training = mlp.training
        self.fc1, self.fc2, self.activation = mlp.fc1, mlp.fc2, mlp.activation

    def forward(self, x: Tensor) -> Tensor:
        if not applies(self.fc1, self.fc2):
            return super().forward(x)
        return GeluProduct.apply(linear(self.fc1, x), self.fc2.weight, self.fc2.bias)


def use_bf16_kernels(module: nn.Module) -> None:
    """Let the attention and GELU layers of a Vision Transformer compute by this room's kernels under autocast.

    Its parameters and their names stay.
    """
    for name, part in list(module.named_modules()):
        if type(part) is Attention:
            module.set_submodule(name, Bf16Attention(part))
        elif type(part) is MLP and part.activation is F.gelu:
            module.set_submodule(name, Bf16MLP(part))


def applies(*layers: nn.Module) -> bool:
    bf16 = torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == BF16
    return bf16 and all(type(layer) is nn.Linear and layer.weight.device.type == "cpu" for layer in layers)


def linear(layer: nn.Linear, x: Tensor) -> Tensor:
    return Product.apply(x, layer.weight, layer.bias)


def product(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return x weight' + bias, the bias added by the product's own kernel."""
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias.to(BF16), "none", [], "")


def gradients(needed: tuple[bool, ...], g: Tensor, x: Tensor, weight: Tensor) -> tuple[Any, Any, Any]:
    """Return the gradients of a product's input, weight and bias, those that are needed."""
    g, rows = g.flatten(0, -2), x.flatten(0, -2)
    return (
        (g @ weight).view(x.shape) if needed[0] else None,
        (g.t() @ rows).float() if needed[1] else None,
        (g.new_ones(1, len(g)) @ g)[0].float() if needed[2] else None,
    )


class Product(Function):
    """x [..., in], weight [out, in], bias [out] -> [..., out] in bf16."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.dtype = x.dtype
        x, weight = x.to(BF16), weight.to(BF16)
        ctx.save_for_backward(x, weight)
        return product(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        of_x, *others = gradients(ctx.needs_input_grad, g, *ctx.saved_tensors)
        return None if of_x is None else of_x.to(ctx.dtype), *others


class GeluProduct(Function):
    """gelu(x) weight' + bias of x in bf16; the way back computes gelu(x) again, which takes 1 % of a ViT-S's step.

    Kept, it would take 270 MB of 3 GB, in batches of 32 (AMD EPYC).
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        weight = weight.to(BF16)
        ctx.save_for_backward(x, weight)
        return product(F.gelu(x), weight, bias)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        x, weight = ctx.saved_tensors
        of_hidden, *others = gradients(ctx.needs_input_grad, g, F.gelu(x), weight)
        if of_hidden is not None:
            torch.ops.aten.gelu_backward.grad_input(of_hidden, x, grad_input=of_hidden)
        return of_hidden, *others


class HeadsInOne(Function):
    """Queries, keys and values [B, N, 3 D] -> softmax(q k' / sqrt(D/H)) v of every head, together [B, N, D].

    As many heads at a time as a processor's cache holds. The softmax of many tokens is computed again on the way back.
    """

    @staticmethod
    def forward(ctx: Any, qkv: Tensor, num_heads: int) -> Tensor:
        images, tokens, width = qkv.shape
        size = int(width) // 3 // num_heads
        parts = qkv.view(images, tokens, 3, num_heads, size).permute(2, 0, 3, 1, 4).reshape(3, -1, tokens, size)
        values = torch.empty_like(parts[0])  # each [B H, N, D/H]
        kept = []
        for (q, k, v), found in zip(at_a_time(parts, 1), at_a_time(values), strict=True):
            attention = softmax_of_scores(q, k)
            torch.bmm(attention, v, out=found)
            if tokens <= MOST_KEPT_TOKENS:
                kept.append(attention)
        ctx.save_for_backward(parts, *kept)
        ctx.num_heads = num_heads
        return values.view(images, num_heads, tokens, size).transpose(1, 2).reshape(images, tokens, -1)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        parts, *kept = ctx.saved_tensors
        _, _, tokens, size = parts.shape
        images, heads = len(g), ctx.num_heads
        g = g.view(images, tokens, heads, size).transpose(1, 2).reshape(-1, tokens, size)
        of_parts = torch.empty_like(parts)
        chunks = zip(at_a_time(parts, 1), at_a_time(g), at_a_time(of_parts, 1), strict=True)
        for i, ((q, k, v), of_values, (of_q, of_k, of_v)) in enumerate(chunks):
            attention = kept[i] if kept else softmax_of_scores(q, k)
            of_scores = of_values @ v.transpose(1, 2)
            torch.ops.aten._softmax_backward_data.out(of_scores, attention, -1, of_scores.dtype, grad_input=of_scores)
            scaled(of_scores, k, size**-0.5, out=of_q)
            scaled(of_scores.transpose(1, 2), q, size**-0.5, out=of_k)
            torch.bmm(attention.transpose(1, 2), of_values, out=of_v)
        together = of_parts.view(3, images, heads, tokens, size).permute(1, 3, 0, 2, 4)
        return together.reshape(images, tokens, -1), None


def at_a_time(parts: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """Return matrices [..., B H, N, D/H] in groups whose scores [N, N] fit into a cache together."""
    return parts.split(max(1, CACHED_SCORES // parts.shape[-2] ** 2), dim)


def softmax_of_scores(q: Tensor, k: Tensor) -> Tensor:
    """Return softmax(q k' / sqrt(D/H)) of every head [B H, N, D/H]: [B H, N, N]."""
    scores = scaled(q, k.transpose(1, 2), q.shape[-1] ** -0.5)
    return torch.softmax(scores, -1, out=scores)


def scaled(a: Tensor, b: Tensor, factor: float, out: Tensor | None = None) -> Tensor:
    """Return factor * a b of batches of matrices, in one kernel."""
    return torch.baddbmm(a.new_empty(1, 1, 1), a, b, beta=0, alpha=factor, out=out)
