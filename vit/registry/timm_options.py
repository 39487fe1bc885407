"""What a recipe or a file may ask of a model of timm: its shapes and rates, as plain values.

timm passes on whatever it is given, and some of it fetches an address, reads another file or makes another program:
`pretrained_cfg`, `checkpoint_path`, `features_only`. So what is allowed is listed here, and nothing else is.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

RATES = """
    attn_drop_rate drop_block_rate drop_path_rate drop_rate patch_drop_rate pos_drop_rate proj_drop_rate
"""
SHAPES = """
    base_dim base_width bottle_ratio cardinality channels class_token depth depths dim dims down_kernel_size embed_dim
    embed_dims expand_ratio head_dim head_hidden_size heads hidden_sizes img_size intermediate_size kernel_size
    kernel_sizes layers mlp_ratio mlp_ratios num_blocks num_features num_heads num_kv_heads num_reg_tokens
    output_stride patch_size patch_sizes reg_tokens sr_ratios stem_chs stem_size stem_width stride strides
    transformer_depths width width_factor width_mult widths window_ratio window_size window_sizes
"""
MANNERS = """
    aa_layer act_layer attn_layer avg_down block_reduce_first conv_bias conv_mlp dynamic_img_pad dynamic_img_size
    embed_norm_layer fc_norm final_norm global_pool head_init_scale head_norm_first init_values layer_scale
    layer_scale_init_value ls_init_value mlp_bias no_embed_class norm_eps norm_layer patch_norm pool_include_prefix
    pos_embed pre_norm proj_bias qk_norm qkv_bias rel_pos_type replace_stem_pool rope_temperature scale_attn_norm
    scale_mlp_norm se_layer se_ratio stem_bias stem_norm stem_type strict_img_size swiglu_mlp use_fc_norm use_grn
    use_post_norm use_rel_pos use_shared_rel_pos_bias weight_init zero_init_last
"""
ALLOWED = tuple(sorted((RATES + SHAPES + MANNERS).split()))
NESTED = {"block_args": ("attn_layer",)}  # of a residual network: the attention in its blocks
ELSEWHERE = {
    "in_chans": "images are read with three channels, grey ones too",
    "num_classes": "the data says how many classes there are",
}
WORD = re.compile(r"[A-Za-z0-9_]{0,40}")  # what timm looks up in its own tables
MOST_VALUES = 256  # in one option


def mistakes(name: str, options: Mapping[str, Any], path: str = "model") -> list[str]:
    """Return a line for each option that timm's model `name` is not given here, or not with such a value."""
    unknown = [str(key) for key in options if key not in ALLOWED and key not in NESTED]
    lines = [
        f"{path}.{key:.80} is not given to {name} from here" + (f": {ELSEWHERE[key]}" if key in ELSEWHERE else "")
        for key in unknown
    ]
    for key, value in options.items():
        if key in ALLOWED and not _is_plain(value):
            lines.append(f"{path}.{key}: should be a number, true or false, a short name, or a list of numbers")
        if key in NESTED and not _is_named(value, NESTED[key]):
            lines.append(f"{path}.{key}: should be a short name for each of: {', '.join(NESTED[key])}")
    if any(key not in ELSEWHERE for key in unknown):
        lines.append(f"shapes and rates alone are given to a model of timm: {', '.join((*ALLOWED, *NESTED))}")
    return lines


def _is_plain(value: Any, depth: int = 0) -> bool:
    if isinstance(value, list | tuple):
        return depth < 2 and len(value) <= MOST_VALUES and all(_is_plain(item, depth + 1) for item in value)
    if isinstance(value, str):
        return WORD.fullmatch(value) is not None
    return value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value))


def _is_named(value: Any, keys: tuple[str, ...]) -> bool:
    return isinstance(value, Mapping) and all(
        key in keys and isinstance(item, str) and WORD.fullmatch(item) is not None for key, item in value.items()
    )
