"""What mixes tokens in a block, attention or one of its rivals, each in the same skeleton.

B images, N tokens, D embed_dim, H heads; `grid` is rows and columns of the patches. "Is it the attention?" (Yu et al.
2022, arXiv:2111.11418): comparisons need mixers that differ in nothing else.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .attention import Attention
from .positions import Grid, PositionsName, grid_of
from .rotary import ROTARY

MixerName = Literal["attention", "identity", "pooling", "shift", "random", "conv", "mlp", "lstm", "linear", "cluster"]
SHIFTED = 12  # one channel in so many moves in each of four directions
KERNEL = 7  # of the depth-wise convolution
FEATURES_PER_CHANNEL = 2  # of a head, in linear attention
CENTRES = 2  # a side, of each head's clusters


class OnGrid(nn.Module):
    """A mixer of patches on their grid, given and taken as tokens: `mixed` sees maps [B, D, rows, columns]."""

    def __init__(self, grid: Grid):
        super().__init__()
        self.grid = grid

    def forward(self, x: Tensor) -> Tensor:  # [B, N, D]
        return self.mixed(x.transpose(1, 2).unflatten(2, grid_of(x.shape[1], self.grid))).flatten(2).transpose(1, 2)

    def mixed(self, maps: Tensor) -> Tensor:
        """Return maps of the same shape."""
        raise NotImplementedError


class Pooling(OnGrid):
    """The mean of the 3 x 3 patches around, less the patch itself (Yu et al. 2022, arXiv:2111.11418)."""

    def mixed(self, maps: Tensor) -> Tensor:
        return F.avg_pool2d(maps, 3, stride=1, padding=1, count_include_pad=False) - maps


class Shift(OnGrid):
    """Some channels move by one patch, up, down, left and right; zeros come in (Wang et al. 2022, arXiv:2201.10801).

    Theirs has neither norm nor residual around it; here it stands in the block of all others.
    """

    def mixed(self, maps: Tensor) -> Tensor:
        count = maps.shape[1] // SHIFTED
        moved = maps.clone()
        left, right, up, down = (slice(i * count, (i + 1) * count) for i in range(4))
        moved[:, left] = F.pad(maps[:, left, :, 1:], (0, 1))
        moved[:, right] = F.pad(maps[:, right, :, :-1], (1, 0))
        moved[:, up] = F.pad(maps[:, up, 1:], (0, 0, 0, 1))
        moved[:, down] = F.pad(maps[:, down, :-1], (0, 0, 1, 0))
        return moved


class RandomMixing(nn.Module):
    """A matrix of softmaxed random numbers that learns nothing (Yu et al. 2022, arXiv:2210.13452)."""

    matrix: Tensor  # [N, N]

    def __init__(self, tokens: int):
        super().__init__()
        self.register_buffer("matrix", torch.rand(tokens, tokens).softmax(-1))

    def forward(self, x: Tensor) -> Tensor:  # [B, N, D]
        return self.matrix @ x


class SeparableConvolution(OnGrid):
    """1 x 1 to twice the width, GELU, depth-wise 7 x 7, 1 x 1 back (Sandler et al. 2018, arXiv:1801.04381)."""

    def __init__(self, grid: Grid, embed_dim: int):
        super().__init__(grid)
        width = 2 * embed_dim
        self.expand = nn.Conv2d(embed_dim, width, 1, bias=False)
        self.depthwise = nn.Conv2d(width, width, KERNEL, padding=KERNEL // 2, groups=width, bias=False)
        self.project = nn.Conv2d(width, embed_dim, 1, bias=False)

    def mixed(self, maps: Tensor) -> Tensor:
        return self.project(self.depthwise(F.gelu(self.expand(maps))))


class TokenMLP(nn.Module):
    """Two layers over the tokens, the same for all channels (Tolstikhin et al. 2021, arXiv:2105.01601)."""

    def __init__(self, tokens: int, hidden: int):
        super().__init__()
        self.fc1 = nn.Linear(tokens, hidden)
        self.fc2 = nn.Linear(hidden, tokens)

    def forward(self, x: Tensor) -> Tensor:  # [B, N, D]
        return self.fc2(F.gelu(self.fc1(x.transpose(1, 2)))).transpose(1, 2)


class Recurrent(OnGrid):
    """Bidirectional LSTMs down the columns and along the rows, joined (Tatsunami and Taki 2022, arXiv:2205.01972)."""

    def __init__(self, grid: Grid, embed_dim: int):
        super().__init__(grid)
        self.rnn_v = nn.LSTM(embed_dim, embed_dim // 4, batch_first=True, bidirectional=True)
        self.rnn_h = nn.LSTM(embed_dim, embed_dim // 4, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(embed_dim, embed_dim)

    def mixed(self, maps: Tensor) -> Tensor:
        down = along(self.rnn_v, maps.permute(0, 3, 2, 1)).transpose(1, 2)  # [B, columns, rows, D] -> rows first
        across = along(self.rnn_h, maps.permute(0, 2, 3, 1))  # [B, rows, columns, D]
        return self.fc(torch.cat([down, across], dim=-1)).permute(0, 3, 1, 2)


def along(rnn: nn.Module, lines: Tensor) -> Tensor:
    """Return what a recurrent layer gives along every line [B, lines, places, D]."""
    return rnn(lines.flatten(0, 1))[0].unflatten(0, lines.shape[:2])


class LinearAttention(nn.Module):
    """Attention by random features, whose cost grows with N and not its square (Performer, arXiv:2009.14794).

    exp(q k') is the mean of exp(w q - |q|^2 / 2) exp(w k - |k|^2 / 2) over normal w; they are orthogonal here, and
    drawn once. The largest exponents are taken out before, which changes nothing but what overflows.
    """

    directions: Tensor  # [features, D/H]

    def __init__(self, embed_dim: int, num_heads: int):
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(embed_dim, 3 * embed_dim)
        self.proj = nn.Linear(embed_dim, embed_dim)
        head = embed_dim // num_heads
        self.register_buffer("directions", orthogonal_directions(FEATURES_PER_CHANNEL * head, head))

    def forward(self, x: Tensor) -> Tensor:  # [B, N, D]
        q, k, v = self.qkv(x).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)  # each [B, H, N, D/H]
        q, k = (self.features(part, last) for part, last in ((q, (-1,)), (k, (-1, -2))))  # [B, H, N, features]
        y = q @ (k.transpose(-2, -1) @ v) / (q @ k.sum(-2).unsqueeze(-1))
        return self.proj(y.transpose(1, 2).flatten(2))

    def features(self, x: Tensor, steadied_over: tuple[int, ...]) -> Tensor:
        """Return positive features [B, H, N, features] whose products are exp(x y' / sqrt(D/H)) in the mean."""
        x = x.float() * x.shape[-1] ** -0.25
        exponents = x @ self.directions.T - x.square().sum(-1, keepdim=True) / 2
        return (exponents - exponents.amax(steadied_over, keepdim=True)).exp() + 1e-6


def orthogonal_directions(count: int, width: int) -> Tensor:
    """Return normal vectors [count, width], in groups of `width` that are orthogonal to each other."""
    groups = []
    for _ in range(-(-count // width)):
        rotation, triangle = torch.linalg.qr(torch.randn(width, width))
        rotation = rotation * triangle.diagonal().sign()  # else some directions are likelier (Mezzadri 2007)
        groups.append(rotation.T * torch.randn(width, width).norm(dim=1, keepdim=True))
    return torch.cat(groups)[:count]


class Clustering(OnGrid):
    """Every token joins the most alike of a few centres, and takes from it (Ma et al. 2023, arXiv:2303.01494).

    A head's centres are the means of the quarters of its map; of theirs without the division into regions.
    """

    def __init__(self, grid: Grid, embed_dim: int, num_heads: int):
        super().__init__(grid)
        self.num_heads = num_heads
        self.point, self.value = nn.Conv2d(embed_dim, embed_dim, 1), nn.Conv2d(embed_dim, embed_dim, 1)
        self.proj = nn.Conv2d(embed_dim, embed_dim, 1)
        self.sharpness, self.offset = nn.Parameter(torch.ones(1)), nn.Parameter(torch.zeros(1))

    def mixed(self, maps: Tensor) -> Tensor:
        by_head = lambda x: x.unflatten(1, (self.num_heads, -1)).flatten(0, 1)  # noqa: E731
        points, values = by_head(self.point(maps)), by_head(self.value(maps))  # [B H, D/H, rows, columns]
        centres, given = (F.adaptive_avg_pool2d(part, CENTRES).flatten(2).transpose(1, 2) for part in (points, values))
        points, values = (part.flatten(2).transpose(1, 2) for part in (points, values))  # [B H, N, D/H]
        alike = F.normalize(centres, dim=-1) @ F.normalize(points, dim=-1).transpose(1, 2)  # [B H, centres, N]
        alike = (self.sharpness * alike + self.offset).sigmoid()
        own = F.one_hot(alike.argmax(1), CENTRES**2).transpose(1, 2).to(alike.dtype)
        alike = alike * own
        gathered = (alike @ values + given) / (alike.sum(-1, keepdim=True) + 1)  # [B H, centres, D/H]
        taken = (alike.transpose(1, 2) @ gathered).transpose(1, 2).unflatten(2, maps.shape[2:])
        return self.proj(taken.unflatten(0, (-1, self.num_heads)).flatten(1, 2))


TAKES_PREFIX = ("attention", "linear")  # the others mix patches on their grid, or so many tokens
MIXERS: dict[MixerName, Callable[[Grid, int, int], nn.Module]] = {  # (grid, embed_dim, num_heads)
    "attention": lambda grid, embed_dim, num_heads: Attention(embed_dim, num_heads),
    "identity": lambda grid, embed_dim, num_heads: nn.Identity(),
    "pooling": lambda grid, embed_dim, num_heads: Pooling(grid),
    "shift": lambda grid, embed_dim, num_heads: Shift(grid),
    "random": lambda grid, embed_dim, num_heads: RandomMixing(grid[0] * grid[1]),
    "conv": lambda grid, embed_dim, num_heads: SeparableConvolution(grid, embed_dim),
    "mlp": lambda grid, embed_dim, num_heads: TokenMLP(grid[0] * grid[1], 2 * grid[0] * grid[1]),
    "lstm": lambda grid, embed_dim, num_heads: Recurrent(grid, embed_dim),
    "linear": lambda grid, embed_dim, num_heads: LinearAttention(embed_dim, num_heads),
    "cluster": lambda grid, embed_dim, num_heads: Clustering(grid, embed_dim, num_heads),
}


def mixer_of(
    mixer: MixerName,
    positions: PositionsName,
    grid: Grid,
    prefix: int,
    embed_dim: int,
    num_heads: int,
    patch_dropout: float,
) -> Callable[[], nn.Module]:
    """Return what makes a block's mixer; `prefix` tokens stand before the patches.

    Raises ValueError where a mixer or the positions within it cannot do with what stands beside the patches, or with
    patches left out.
    """
    rotary = ROTARY.get(positions)
    if rotary and mixer != "attention":
        raise ValueError(f"positions {positions} turn the queries and keys of attention, given mixer {mixer}")
    if prefix and mixer not in TAKES_PREFIX:
        raise ValueError(f"mixer {mixer} mixes patches alone: class_token false, registers 0, pool mean")
    if patch_dropout and (rotary or mixer not in TAKES_PREFIX):
        needs = f"positions {positions} need" if rotary else f"mixer {mixer} needs"
        raise ValueError(f"{needs} every patch: patch_dropout 0")
    if rotary:
        return partial(rotary, grid, prefix, embed_dim, num_heads)
    return partial(MIXERS[mixer], grid, embed_dim, num_heads)


def is_attention(block: Any) -> bool:
    """Return whether a block mixes by attention, whatever it does with positions."""
    return isinstance(block.attn, Attention)


def is_plain_attention(block: Any) -> bool:
    """Return whether a block mixes by attention and nothing else, which faster paths are made for."""
    return type(block.attn) is Attention
