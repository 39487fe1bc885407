"""Linear maps for inference on CPUs, their weights laid out as oneDNN's products want them, in bf16 or int8."""

import torch
from torch import Tensor, nn

BF16 = torch.bfloat16


class PackedLinear(nn.Module):
    """x [..., in] -> factors * (x weight' + bias) [..., out] in bf16, laid out for about so many rows of x."""

    def __init__(self, layer: nn.Linear, rows: int, factors: Tensor | None = None):
        super().__init__()
        weight, bias = scaled_outputs(layer, factors)
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight.to(BF16), rows)  # opaque, and so no buffer
        self.bias = bias.to(BF16)

    def forward(self, x: Tensor) -> Tensor:
        return torch.ops.mkldnn._linear_pointwise(x.to(BF16), self.weight, self.bias, "none", [], "")

    def gelu(self, x: Tensor) -> Tensor:
        """Return gelu(self(x)), by the product's own kernel."""
        return torch.ops.mkldnn._linear_pointwise(x.to(BF16), self.weight, self.bias, "gelu", [], "none")

    def plus(self, x: Tensor, other: Tensor) -> Tensor:
        """Return self(x) + other, by the product's own kernel."""
        return torch.ops.mkldnn._linear_pointwise.binary(x, other, self.weight, self.bias, "add")


class Int8Linear(nn.Module):
    """The same of int8 weights, rounded for every output by itself, and of inputs rounded to uint8 for each call."""

    def __init__(self, layer: nn.Linear, rows: int, factors: Tensor | None = None):
        super().__init__()
        weight, self.bias = scaled_outputs(layer, factors)
        self.scale = (weight.abs().amax(1) / 127).clamp(min=torch.finfo().tiny)  # [out]
        self.zeros = torch.zeros(len(weight), dtype=torch.int64)
        rounded = (weight / self.scale.unsqueeze(1)).round().to(torch.int8)
        self.weight = torch.ops.onednn.qlinear_prepack(rounded, [rows, weight.shape[1]])

    def forward(self, x: Tensor) -> Tensor:
        return self._product(x, "none")

    def gelu(self, x: Tensor) -> Tensor:
        return self._product(x, "gelu")

    def plus(self, x: Tensor, other: Tensor) -> Tensor:
        kind = (1.0, 0, BF16)  # of the result, which is not rounded to int8, and then of `other`
        return torch.ops.onednn.qlinear_pointwise.binary_tensor(
            *rounded_to_uint8(x), *self._weights(), other, self.bias, *kind, 1.0, 0, "add", 1.0, "none", [], ""
        )

    def _product(self, x: Tensor, activation: str) -> Tensor:
        algorithm = "none" if activation == "gelu" else ""
        return torch.ops.onednn.qlinear_pointwise.tensor(
            *rounded_to_uint8(x), *self._weights(), self.bias, 1.0, 0, BF16, activation, [], algorithm
        )

    def _weights(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.weight, self.scale, self.zeros


def scaled_outputs(layer: nn.Linear, factors: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return weight [out, in] and bias [out] of a layer, each output times its factor."""
    weight, bias = layer.weight.detach(), layer.bias.detach()
    return (weight, bias) if factors is None else (factors.unsqueeze(1) * weight, factors * bias)


def rounded_to_uint8(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return x in even steps from its least value to its greatest, the step, and which of them is 0.

    There are 255, and so the last bit of bf16 cannot lead past uint8's end.
    """
    x = x.to(BF16)
    low, high = (float(end) for end in x.aminmax())
    step = max((max(high, 0.0) - min(low, 0.0)) / 254, torch.finfo().tiny)
    zero = round(-min(low, 0.0) / step)
    steps = torch.add(x.new_tensor(zero), x, alpha=1 / step).round_()
    return steps.to(torch.uint8), torch.tensor(step), torch.tensor(zero, dtype=torch.int32)


def bf16_supported() -> bool:
    """Whether torch has oneDNN here, and the processor instructions for bf16."""
    return torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()


def int8_supported() -> bool:
    """Whether the processor has instructions for int8 (VNNI), too."""
    return bf16_supported() and has_int8_instructions()


def has_int8_instructions() -> bool:
    """Whether the processor multiplies int8 numbers by instructions of its own (VNNI)."""
    return torch.cpu._is_vnni_supported()
