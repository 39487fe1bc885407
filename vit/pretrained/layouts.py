"""How each library names the weights of a Vision Transformer, and what the names become here: timm's.

Every layout is a list of (pattern, replacement) for whole names; what matches none keeps its name, and is refused later
as unexpected. B blocks, D embed_dim, H heads, P pixels of a patch's side.
"""

import re

import torch
from torch import Tensor

Tensors = dict[str, Tensor]
Renames = tuple[tuple[str, str], ...]


def in_blocks(prefix: str, *renames: tuple[str, str]) -> Renames:
    """Return renames inside the blocks: `prefix` begins all names and catches the block's number, \\1."""
    return tuple((prefix + old, rf"blocks.\1.{new}") for old, new in renames)


# torchvision.models.vision_transformer; `mlp.linear_1` is the spelling of its first version.
TORCHVISION: Renames = (
    (r"conv_proj\.(.+)", r"patch_embed.proj.\1"),
    (r"class_token", "cls_token"),
    (r"encoder\.pos_embedding", "pos_embed"),
    *in_blocks(
        r"encoder\.layers\.encoder_layer_(\d+)\.",
        (r"ln_([12])\.(.+)", r"norm\2.\3"),
        (r"self_attention\.in_proj_(.+)", r"attn.qkv.\2"),
        (r"self_attention\.out_proj\.(.+)", r"attn.proj.\2"),
        (r"mlp\.(?:0|linear_1)\.(.+)", r"mlp.fc1.\2"),
        (r"mlp\.(?:3|linear_2)\.(.+)", r"mlp.fc2.\2"),
    ),
    (r"encoder\.ln\.(.+)", r"norm.\1"),
    (r"heads\.pre_logits\.(.+)", r"pre_logits.fc.\1"),
    (r"heads\.head\.(.+)", r"head.\1"),
)

# transformers.models.vit and .dinov2, below their prefix; the second spelling of a pair is that of version 5.
TRANSFORMERS: Renames = (
    (r"embeddings\.cls_token", "cls_token"),
    (r"embeddings\.register_tokens", "register_tokens"),
    (r"embeddings\.mask_token", "mask_token"),
    (r"embeddings\.position_embeddings", "pos_embed"),
    (r"embeddings\.patch_embeddings\.projection\.(.+)", r"patch_embed.proj.\1"),
    *in_blocks(
        r"(?:encoder\.)?layers?\.(\d+)\.",
        (r"(?:layernorm_before|norm1)\.(.+)", r"norm1.\2"),
        (r"(?:layernorm_after|norm2)\.(.+)", r"norm2.\2"),
        (r"attention\.(?:attention\.)?(?:query|q_proj)\.(.+)", r"attn.q.\2"),
        (r"attention\.(?:attention\.)?(?:key|k_proj)\.(.+)", r"attn.k.\2"),
        (r"attention\.(?:attention\.)?(?:value|v_proj)\.(.+)", r"attn.v.\2"),
        (r"attention\.(?:output\.dense|o_proj)\.(.+)", r"attn.proj.\2"),
        (r"(?:intermediate\.dense|mlp\.(?:fc1|weights_in))\.(.+)", r"mlp.fc1.\2"),
        (r"mlp\.(gate|up)_proj\.(.+)", r"mlp.\2.\3"),
        (r"(?:output\.dense|mlp\.(?:fc2|weights_out|down_proj))\.(.+)", r"mlp.fc2.\2"),
        (r"layer_scale([12])\.lambda1", r"ls\2.gamma"),
    ),
    (r"layernorm\.(.+)", r"norm.\1"),
    (r"pooler\.dense\.(.+)", r"pre_logits.fc.\1"),
    (r"classifier\.(.+)", r"head.\1"),
)

# OpenAI's CLIP and open_clip's own towers, below `visual.`.
CLIP: Renames = (
    (r"conv1\.(.+)", r"patch_embed.proj.\1"),
    (r"class_embedding", "cls_token"),
    (r"positional_embedding", "pos_embed"),
    (r"ln_pre\.(.+)", r"norm_pre.\1"),
    (r"ln_post\.(.+)", r"norm.\1"),
    *in_blocks(
        r"transformer\.resblocks\.(\d+)\.",
        (r"ln_([12])\.(.+)", r"norm\2.\3"),
        (r"attn\.in_proj_(.+)", r"attn.qkv.\2"),
        (r"attn\.out_proj\.(.+)", r"attn.proj.\2"),
        (r"mlp\.c_fc\.(.+)", r"mlp.fc1.\2"),
        (r"mlp\.c_proj\.(.+)", r"mlp.fc2.\2"),
        (r"ls_([12])\.gamma", r"ls\2.gamma"),
    ),
)

# DINOv2 may keep its blocks in chunks.
CHUNKS: Renames = ((r"blocks\.\d+\.(\d+)\.(.+)", r"blocks.\1.\2"),)

# The authors' own code of DeiT III and DINOv2, beside timm's names.
AUTHORS: Renames = (
    (r"blocks\.(\d+)\.gamma_([12])", r"blocks.\1.ls\2.gamma"),
    (r"blocks\.(\d+)\.mlp\.w12\.(.+)", r"blocks.\1.mlp.fc1.\2"),
    (r"blocks\.(\d+)\.mlp\.w3\.(.+)", r"blocks.\1.mlp.fc2.\2"),
)


def rename(tensors: Tensors, *layouts: Renames) -> Tensors:
    """Return the tensors under new names, by every layout in turn."""
    for renames in layouts:
        tensors = {_renamed(name, renames): tensor for name, tensor in tensors.items()}
    return tensors


def below(tensors: Tensors, prefix: str) -> tuple[Tensors, Tensors]:
    """Return the tensors whose names begin with `prefix`, without it, and the others."""
    inside = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    return inside, {name: tensor for name, tensor in tensors.items() if not name.startswith(prefix)}


def fuse(tensors: Tensors) -> Tensors:
    """Return the tensors with the rows of q, k and v below each other in one matrix, and so SwiGLU's two halves."""
    tensors = dict(tensors)
    for first, others, whole in (
        (".attn.q.", (".attn.k.", ".attn.v."), ".attn.qkv."),
        ("attn_pool.k.", ("attn_pool.v.",), "attn_pool.kv."),
        (".mlp.gate.", (".mlp.up.",), ".mlp.fc1."),
    ):
        for name in [name for name in tensors if first in name]:
            parts = [name, *(name.replace(first, other) for other in others)]
            if all(part in tensors for part in parts):
                tensors[name.replace(first, whole)] = torch.cat([tensors.pop(part) for part in parts])
    return tensors


def fold_prefix_positions(tensors: Tensors) -> Tensors:
    """Give DINOv2's CLS token its position for good, where registers without positions stand behind it."""
    if "register_tokens" not in tensors:
        return tensors
    kept = {name: tensor for name, tensor in tensors.items() if name != "register_tokens"}
    return kept | {
        "cls_token": tensors["cls_token"] + tensors["pos_embed"][:, :1],
        "reg_token": tensors["register_tokens"],
        "pos_embed": tensors["pos_embed"][:, 1:],
    }


def from_jax(tensors: Tensors) -> Tensors:
    """Return the arrays of Google's vision_transformer and of big_vision under our names.

    Kernels lie as [in, out], attention's as [D, H, D/H], convolutions' as [P, P, 3, D]; big_vision may stack the blocks
    on a first axis. Names that belong to no part of a Vision Transformer stay.
    """
    tensors = _unstacked(tensors)
    found: Tensors = {}
    for name, tensor in tensors.items():
        new, kind = _jax_name(name), name.rsplit("/", 1)[-1]
        if name == "embedding/kernel":
            tensor = tensor.permute(3, 2, 0, 1)
        elif kind == "kernel" and (".attn.proj." in new or "attn_pool.proj." in new):
            tensor = tensor.flatten(0, 1).T  # [H, D/H, D]
        elif kind == "kernel":
            tensor = tensor.flatten(1).T
        elif kind == "bias":
            tensor = tensor.flatten()
        elif name in ("pos_embedding", "cls") and tensor.ndim == 2:
            tensor = tensor.unsqueeze(0)
        found[new] = tensor.contiguous()
    return fuse(found)


JAX: Renames = (
    (r"embedding/kernel", "patch_embed.proj.weight"),
    (r"embedding/bias", "patch_embed.proj.bias"),
    (r"cls", "cls_token"),
    (r"(?:Transformer/posembed_input/)?pos_embedding", "pos_embed"),
    *in_blocks(
        r"Transformer/encoderblock_(\d+)/",
        (r"LayerNorm_0/(.+)", r"norm1.\2"),
        (r"LayerNorm_[12]/(.+)", r"norm2.\2"),
        (r"MultiHeadDotProductAttention_[01]/query/(.+)", r"attn.q.\2"),
        (r"MultiHeadDotProductAttention_[01]/key/(.+)", r"attn.k.\2"),
        (r"MultiHeadDotProductAttention_[01]/value/(.+)", r"attn.v.\2"),
        (r"MultiHeadDotProductAttention_[01]/out/(.+)", r"attn.proj.\2"),
        (r"MlpBlock_[03]/Dense_0/(.+)", r"mlp.fc1.\2"),
        (r"MlpBlock_[03]/Dense_1/(.+)", r"mlp.fc2.\2"),
    ),
    (r"Transformer/encoder_norm/(.+)", r"norm.\1"),
    (r"pre_logits/(.+)", r"pre_logits.fc.\1"),
    (r"MAPHead_0/probe", "attn_pool.latent"),
    (r"MAPHead_0/LayerNorm_0/(.+)", r"attn_pool.norm.\1"),
    (r"MAPHead_0/MultiHeadDotProductAttention_0/query/(.+)", r"attn_pool.q.\1"),
    (r"MAPHead_0/MultiHeadDotProductAttention_0/key/(.+)", r"attn_pool.k.\1"),
    (r"MAPHead_0/MultiHeadDotProductAttention_0/value/(.+)", r"attn_pool.v.\1"),
    (r"MAPHead_0/MultiHeadDotProductAttention_0/out/(.+)", r"attn_pool.proj.\1"),
    (r"MAPHead_0/MlpBlock_0/Dense_0/(.+)", r"attn_pool.mlp.fc1.\1"),
    (r"MAPHead_0/MlpBlock_0/Dense_1/(.+)", r"attn_pool.mlp.fc2.\1"),
    (r"head/(.+)", r"head.\1"),
)


def _jax_name(name: str) -> str:
    renamed = _renamed(name, JAX)
    if renamed == name:
        return name
    return re.sub(r"\.(kernel|scale)$", ".weight", renamed)


def _unstacked(tensors: Tensors) -> Tensors:
    """Split the blocks that a scan stacked on a first axis."""
    found: Tensors = {}
    for name, tensor in tensors.items():
        if name.startswith("Transformer/encoderblock/"):
            rest = name.removeprefix("Transformer/encoderblock/")
            found |= {f"Transformer/encoderblock_{i}/{rest}": part for i, part in enumerate(tensor)}
        else:
            found[name] = tensor
    return found


def _renamed(name: str, renames: Renames) -> str:
    for pattern, replacement in renames:
        match = re.fullmatch(pattern, name)
        if match:
            return match.expand(replacement)
    return name
