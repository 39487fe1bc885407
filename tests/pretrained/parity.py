"""The families of weights and their reference implementations: what the parity table has a row for.

A case writes a file or folder as the family's own code would, with every weight drawn anew, and returns the reference:
a function from an image size to a module of the reference implementation with these weights in it, resampled by that
implementation where the size is not its own.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from scipy.ndimage import zoom
from timm.models import save_for_hf
from timm.models.vision_transformer import checkpoint_filter_fn
from torch import Tensor, nn

HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
Reference = Callable[[int], Callable[[Tensor], Tensor]]
Randomize = Callable[[nn.Module], nn.Module]


@dataclass(frozen=True)
class Case:
    """A row of the table: family and variant, who the reference is, and the facts that must be told."""

    family: str
    variant: str
    reference: str
    make: Callable[[Path, Randomize], tuple[Path, Reference]]
    other_size: int
    norm_eps: float = 1e-6
    activation: str = "gelu"
    pool: str = "cls"
    mean_std: tuple[tuple[float, ...], tuple[float, ...]] = IMAGENET
    interpolation: str = "bicubic"
    crop: str = "center 1"
    size: int = 224
    options: dict[str, Any] = field(default_factory=dict)  # further facts of the architecture

    def __str__(self) -> str:
        return f"{self.family}-{self.variant}".replace(" ", "_")


def resized(name: str, size: int, tensors: dict[str, Tensor], **options: Any) -> nn.Module:
    """Return a model of timm at another image size, its weights resampled by timm."""
    module = timm.create_model(name, img_size=size, **options)
    module.load_state_dict(checkpoint_filter_fn(dict(tensors), module))
    return module.eval()


def timm_file(name: str, layout: Callable[[dict], Any] = dict, features: bool = False, **options: Any):
    """Return a case's `make`: the weights of a timm model in another layout, or its own."""

    def make(folder: Path, randomize: Randomize) -> tuple[Path, Reference]:
        tensors = randomize(timm.create_model(name, **options)).state_dict()
        path = folder / "weights.pth"
        torch.save(layout({key: value.clone() for key, value in tensors.items()}), path)
        return path, lambda size: resized(name, size, tensors, **options)

    return make


def timm_folder(name: str, **options: Any):
    """Return a case's `make`: a folder as timm writes it for the hub, its configuration that of a published tag."""

    def make(folder: Path, randomize: Randomize) -> tuple[Path, Reference]:
        module = randomize(timm.create_model(name, **options))
        save_for_hf(module, folder, model_args=options or None)
        tensors = module.state_dict()
        return folder, lambda size: resized(name, size, tensors, **options)

    return make


def without(*names: str) -> Callable[[dict], dict]:
    return lambda tensors: {key: value for key, value in tensors.items() if not key.startswith(names)}


def deit3_names(tensors: dict) -> dict:
    return {"model": {re.sub(r"ls([12])\.gamma", r"gamma_\1", key): value for key, value in tensors.items()}}


def mae_pretraining(tensors: dict) -> dict:
    width = tensors["cls_token"].shape[-1]
    decoder = {
        "mask_token": torch.zeros(1, 1, 512),
        "decoder_embed.weight": torch.randn(512, width),
        "decoder_pos_embed": torch.randn(1, 197, 512),
        "decoder_blocks.0.norm1.weight": torch.ones(512),
    }
    return mae_encoder(tensors) | {"model": mae_encoder(tensors)["model"] | decoder, "epoch": 799}


def mae_encoder(tensors: dict) -> dict:
    return {"model": without("head.")(tensors)}


def dinov2_names(tensors: dict) -> dict:
    """The authors' layout: a mask token, chunked blocks, `w12` and `w3` in a SwiGLU."""
    chunked = {
        re.sub(r"blocks\.(\d+)\.", r"blocks.0.\1.", key): value for key, value in without("head.")(tensors).items()
    }
    if chunked["blocks.0.0.mlp.fc1.weight"].shape[0] == 2 * chunked["blocks.0.0.mlp.fc2.weight"].shape[1]:
        chunked = {key.replace("fc1", "w12").replace("fc2", "w3"): value for key, value in chunked.items()}
    return chunked | {"mask_token": torch.zeros(1, chunked["cls_token"].shape[-1])}


def dinov2_registers(tensors: dict) -> dict:
    """With registers the authors add positions before them, so that their CLS token has one."""
    tensors = dinov2_names(tensors)
    position = torch.randn_like(tensors["cls_token"])
    registers = tensors.pop("reg_token")
    return tensors | {
        "cls_token": tensors["cls_token"] - position,
        "pos_embed": torch.cat([position, tensors["pos_embed"]], dim=1),
        "register_tokens": registers,
    }


def torchvision_file(**options: Any):
    def make(folder: Path, randomize: Randomize) -> tuple[Path, Reference]:
        from torchvision.models.vision_transformer import VisionTransformer, interpolate_embeddings

        module = randomize(VisionTransformer(image_size=224, **options))
        path = folder / "vit.pth"
        torch.save(module.state_dict(), path)

        def reference(size: int) -> nn.Module:
            other = VisionTransformer(image_size=size, **options)
            tensors = {key: value.clone() for key, value in module.state_dict().items()}
            other.load_state_dict(interpolate_embeddings(size, options["patch_size"], tensors))
            return other.eval()

        return path, reference

    return make


def transformers_folder(kind: str, spelling: int | None = None, processor: dict | None = None, **options: Any):
    """Return a case's `make`: a folder as transformers writes it, or with the names of its version 4 or 5."""

    def make(folder: Path, randomize: Randomize) -> tuple[Path, Reference]:
        import transformers
        from safetensors.torch import load_file, save_file

        config = getattr(transformers, f"{kind}Config")(num_labels=7, **options)
        module = randomize(getattr(transformers, f"{kind}ForImageClassification")(config)).eval()
        module.save_pretrained(folder)
        (folder / "preprocessor_config.json").write_text(json.dumps(processor or {}))
        if spelling:
            names = {4: to_version_4, 5: to_version_5}[spelling]
            tensors = load_file(folder / "model.safetensors")
            save_file({names(key): value for key, value in tensors.items()}, folder / "model.safetensors")
        takes_any_size = kind != "ViT"
        more = {} if takes_any_size else {"interpolate_pos_encoding": True}
        return folder, lambda size: lambda images: module(images, **more).logits

    return make


V4_V5 = (
    ("encoder.layer.", "layers."),
    ("attention.attention.query", "attention.q_proj"),
    ("attention.attention.key", "attention.k_proj"),
    ("attention.attention.value", "attention.v_proj"),
    ("attention.output.dense", "attention.o_proj"),
    ("intermediate.dense", "mlp.fc1"),
    ("output.dense", "mlp.fc2"),
)


def to_version_4(name: str) -> str:
    for old, new in V4_V5:
        name = name if old in name else name.replace(new, old)
    return name


def to_version_5(name: str) -> str:
    for old, new in V4_V5:
        name = name.replace(old, new)
    return name


def open_clip_folder(name: str, config: bool = True, whole: bool = True, **vision: Any):
    """Return a case's `make`: an open_clip model's file and its configuration beside it."""

    def make(folder: Path, randomize: Randomize) -> tuple[Path, Reference]:
        import open_clip
        from open_clip.model import resize_pos_embed

        settings = open_clip.get_model_config(name)
        settings["vision_cfg"] |= vision
        settings["text_cfg"] |= {"layers": 1}

        def build(size: int) -> nn.Module:
            vision_cfg = settings["vision_cfg"] | {"image_size": size}
            return open_clip.CLIP(**(settings | {"vision_cfg": vision_cfg}))

        module = randomize(build(224))
        tensors = {key: value.clone() for key, value in module.state_dict().items()}
        torch.save(tensors, folder / "open_clip_pytorch_model.bin")
        if config:
            text = {"model_cfg": settings, "preprocess_cfg": {"mean": CLIP[0], "std": CLIP[1]}}
            (folder / "open_clip_config.json").write_text(json.dumps(text))

        def reference(size: int) -> Callable[[Tensor], Tensor]:
            other = build(size).eval()
            resampled = {key: value.clone() for key, value in tensors.items()}
            resize_pos_embed(resampled, other)
            other.load_state_dict(resampled)
            return other.encode_image

        return folder, reference

    return make


def openai_file(**vision: Any):
    """Return a case's `make`: the state dict of OpenAI's own program, half precision, its sizes as buffers."""

    def make(folder: Path, randomize: Randomize) -> tuple[Path, Reference]:
        _, reference = open_clip_folder("ViT-B-32-quickgelu", **vision)(folder, randomize)
        saved = torch.load(folder / "open_clip_pytorch_model.bin", weights_only=True)
        (folder / "open_clip_config.json").unlink()
        sizes = {
            "input_resolution": torch.tensor(224),
            "context_length": torch.tensor(77),
            "vocab_size": torch.tensor(49408),
        }
        torch.save(saved | sizes, folder / "ViT-B-32.pt")
        return folder / "ViT-B-32.pt", reference

    return make


def jax_file(
    name: str,
    *,
    big_vision: bool = False,
    stacked: bool = False,
    prefix: str = "",
    representation: int = 0,
    **options: Any,
):
    """Return a case's `make`: the arrays of Google's programs, built from a timm model and readable by timm.

    Positions are resampled as these programs do it, by scipy's zoom of order 1.
    """

    def make(folder: Path, randomize: Randomize) -> tuple[Path, Reference]:
        options["act_layer"] = "gelu_tanh"  # flax's nn.gelu approximates by default
        module = randomize(timm.create_model(name, num_classes=11, **options))
        fc = randomize(nn.Linear(representation, representation)) if representation else None
        arrays = to_jax(module, big_vision, stacked)
        if fc is not None:
            arrays |= {"pre_logits/kernel": fc.weight.T.numpy(force=True), "pre_logits/bias": fc.bias.numpy(force=True)}
        np.savez(folder / "weights.npz", **{f"{prefix}{key}": value for key, value in arrays.items()})

        def reference(size: int) -> Callable[[Tensor], Tensor]:
            other = timm.create_model(name, num_classes=11, img_size=size, **options)
            tensors = module.state_dict()
            prefix_tokens = 0 if big_vision else 1
            tensors["pos_embed"] = zoomed(tensors["pos_embed"], size // 16, prefix_tokens)
            other.load_state_dict(tensors)
            other.eval()
            if size == 224:
                read_back = timm.create_model(name, num_classes=11, **options).eval()
                read_back.load_pretrained(str(folder / "weights.npz"))
                assert all(torch.equal(value, tensors[key]) for key, value in read_back.state_dict().items())
            if fc is None:
                return other
            return lambda images: other.head(
                torch.tanh(fc(other.forward_head(other.forward_features(images), pre_logits=True)))
            )

        return folder / "weights.npz", reference

    return make


def zoomed(positions: Tensor, side: int, prefix: int) -> Tensor:
    first, grid = positions[:, :prefix], positions[0, prefix:]
    old = int(len(grid) ** 0.5)
    if old == side:
        return positions
    image = zoom(grid.reshape(old, old, -1).numpy(), (side / old, side / old, 1), order=1)
    return torch.cat([first, torch.from_numpy(image).reshape(1, side * side, -1)], dim=1)


def to_jax(module: Any, big_vision: bool, stacked: bool) -> dict[str, np.ndarray]:
    tensors = {key: value.numpy(force=True) for key, value in module.state_dict().items()}
    heads = module.blocks[0].attn.num_heads
    width = module.embed_dim
    arrays = {
        "embedding/kernel": tensors["patch_embed.proj.weight"].transpose(2, 3, 1, 0),
        "embedding/bias": tensors["patch_embed.proj.bias"],
        "Transformer/encoder_norm/scale": tensors["norm.weight"],
        "Transformer/encoder_norm/bias": tensors["norm.bias"],
        "head/kernel": tensors["head.weight"].T,
        "head/bias": tensors["head.bias"],
        ("" if big_vision else "Transformer/posembed_input/") + "pos_embedding": tensors["pos_embed"],
    }
    if "cls_token" in tensors:
        arrays["cls"] = tensors["cls_token"]
    if "attn_pool.latent" in tensors:
        arrays |= map_head(tensors, heads, width)
    norm2, attention, mlp = (
        ("LayerNorm_1", "MultiHeadDotProductAttention_0", "MlpBlock_0")
        if big_vision
        else ("LayerNorm_2", "MultiHeadDotProductAttention_1", "MlpBlock_3")
    )
    blocks = []
    for i in range(len(module.blocks)):
        part = {
            key.removeprefix(f"blocks.{i}."): value for key, value in tensors.items() if key.startswith(f"blocks.{i}.")
        }
        block = {}
        for ours, theirs in (("norm1", "LayerNorm_0"), ("norm2", norm2)):
            block |= {f"{theirs}/scale": part[f"{ours}.weight"], f"{theirs}/bias": part[f"{ours}.bias"]}
        for j, name in enumerate(("query", "key", "value")):
            rows = slice(j * width, (j + 1) * width)
            block[f"{attention}/{name}/kernel"] = part["attn.qkv.weight"][rows].T.reshape(width, heads, -1)
            block[f"{attention}/{name}/bias"] = part["attn.qkv.bias"][rows].reshape(heads, -1)
        block[f"{attention}/out/kernel"] = part["attn.proj.weight"].T.reshape(heads, -1, width)
        block[f"{attention}/out/bias"] = part["attn.proj.bias"]
        for ours, theirs in (("fc1", "Dense_0"), ("fc2", "Dense_1")):
            block |= {
                f"{mlp}/{theirs}/kernel": part[f"mlp.{ours}.weight"].T,
                f"{mlp}/{theirs}/bias": part[f"mlp.{ours}.bias"],
            }
        blocks.append(block)
    if stacked:
        return arrays | {f"Transformer/encoderblock/{key}": np.stack([b[key] for b in blocks]) for key in blocks[0]}
    return arrays | {
        f"Transformer/encoderblock_{i}/{key}": value for i, b in enumerate(blocks) for key, value in b.items()
    }


def map_head(tensors: dict[str, np.ndarray], heads: int, width: int) -> dict[str, np.ndarray]:
    part = {name.removeprefix("attn_pool."): value for name, value in tensors.items() if name.startswith("attn_pool.")}
    maps = {name: [part[f"q.{name}"], *np.split(part[f"kv.{name}"], 2)] for name in ("weight", "bias")}
    arrays = {
        "probe": part["latent"],
        "LayerNorm_0/scale": part["norm.weight"],
        "LayerNorm_0/bias": part["norm.bias"],
        "MultiHeadDotProductAttention_0/out/kernel": part["proj.weight"].T.reshape(heads, -1, width),
        "MultiHeadDotProductAttention_0/out/bias": part["proj.bias"],
    }
    for number, name in enumerate(("query", "key", "value")):
        place = f"MultiHeadDotProductAttention_0/{name}"
        arrays[f"{place}/kernel"] = maps["weight"][number].T.reshape(width, heads, -1)
        arrays[f"{place}/bias"] = maps["bias"][number].reshape(heads, -1)
    for ours, theirs in (("fc1", "Dense_0"), ("fc2", "Dense_1")):
        arrays[f"MlpBlock_0/{theirs}/kernel"] = part[f"mlp.{ours}.weight"].T
        arrays[f"MlpBlock_0/{theirs}/bias"] = part[f"mlp.{ours}.bias"]
    return {f"MAPHead_0/{name}": value for name, value in arrays.items()}


def resnet_file(build: Callable[[], nn.Module]):
    def make(folder: Path, randomize: Randomize) -> tuple[Path, Reference]:
        module = randomize(build()).eval()
        torch.save(
            {"state_dict": {f"module.{key}": value for key, value in module.state_dict().items()}}, folder / "net.pt"
        )
        return folder / "net.pt", lambda size: module

    return make


def own_file():
    def make(folder: Path, randomize: Randomize) -> tuple[Path, Reference]:
        import vit
        from vit.data.preprocessing import Preprocessing
        from vit.model import Architecture, Model
        from vit.recipe import load_recipe

        options = {"embed_dim": 192, "depth": 3, "num_heads": 3, "registers": 2}
        module = randomize(vit.create_model("vit", num_classes=5, **options)).eval()
        architecture = Architecture("vit", options, 5)
        recipe = load_recipe("digits_vit", {"model": {"name": "vit"} | options, "data.image_size": 224})
        preprocessing = Preprocessing((224, 224), *HALF, "lanczos", 0.8)
        Model(module, architecture, tuple("abcde"), preprocessing, recipe=recipe).save(folder / "model.safetensors")
        tensors = module.state_dict()
        return folder / "model.safetensors", lambda size: resized(
            "vit_tiny_patch16_224", size, tensors, num_classes=5, depth=3, reg_tokens=2
        )

    return make


def torchvision_resnet(name: str) -> Callable[[], nn.Module]:
    import torchvision

    return lambda: getattr(torchvision.models, name)()


SHORT = {"depth": 3}  # blocks; every one is alike
GIANT = {"depth": 2, "embed_dim": 192, "num_heads": 3}
HF = {"num_hidden_layers": 3, "hidden_size": 192, "num_attention_heads": 3}
VIT_PROCESSOR = {"size": {"height": 224, "width": 224}, "resample": 2, "image_mean": HALF[0], "image_std": HALF[1]}
DINOV2_PROCESSOR = {
    "size": {"shortest_edge": 256},
    "crop_size": {"height": 224, "width": 224},
    "resample": 3,
    "image_mean": IMAGENET[0],
    "image_std": IMAGENET[1],
}
HF_VIT = {"norm_eps": 1e-12, "mean_std": HALF, "interpolation": "bilinear", "crop": "squash 1"}
HF_DINOV2 = {"pool": "cls_mean", "crop": "center 0.875", "other_size": 280}
LARGE = {"patch_size": 16, "num_layers": 2, "num_heads": 16, "hidden_dim": 1024, "mlp_dim": 4096}
BASE = {"patch_size": 16, "num_layers": 4, "num_heads": 12, "hidden_dim": 768, "mlp_dim": 3072}
TV = {"interpolation": "bilinear", "other_size": 288}
JAX = {"activation": "gelu_tanh", "mean_std": HALF, "interpolation": "bilinear", "other_size": 272}

CASES = [
    Case(
        "timm",
        "vit_small_patch16_224, bare",
        "timm",
        timm_file("vit_small_patch16_224"),
        288,
        mean_std=HALF,
        crop="center 0.9",
    ),
    Case(
        "timm",
        "vit_tiny_patch16_384.augreg",
        "timm",
        timm_folder("vit_tiny_patch16_384.augreg_in21k_ft_in1k"),
        224,
        mean_std=HALF,
        size=384,
    ),
    Case(
        "timm",
        "vit_base_patch32_224.sam",
        "timm",
        timm_folder("vit_base_patch32_224.sam_in1k", **SHORT),
        320,
        mean_std=HALF,
        crop="center 0.9",
    ),
    Case(
        "timm",
        "vit_base_patch16_clip_quickgelu_224.openai",
        "timm",
        timm_folder("vit_base_patch16_clip_quickgelu_224.openai", **SHORT),
        160,
        norm_eps=1e-5,
        activation="quick_gelu",
        mean_std=CLIP,
        crop="center 0.9",
    ),
    Case(
        "timm",
        "vit_small_patch14_reg4_dinov2.lvd142m",
        "timm",
        timm_folder("vit_small_patch14_reg4_dinov2.lvd142m", num_classes=4, **SHORT),
        224,
        size=518,
        options={"registers": 4, "class_position": False},
    ),
    Case(
        "timm",
        "vit_base_patch16_siglip_224.webli",
        "timm",
        timm_folder("vit_base_patch16_siglip_224.webli", num_classes=4, **SHORT),
        288,
        pool="map",
        mean_std=HALF,
        crop="center 0.9",
        options={"class_token": False, "registers": 0},
    ),
    Case(
        "DeiT",
        "small",
        "timm",
        timm_file("deit_small_patch16_224", lambda t: {"model": t}, **SHORT),
        160,
        crop="center 0.875",
    ),
    Case(
        "DeiT",
        "small, distilled",
        "timm",
        timm_file("deit_small_distilled_patch16_224", lambda t: {"model": t}),
        160,
        pool="cls_dist",
        crop="center 0.875",
    ),
    Case(
        "DeiT III",
        "small",
        "timm",
        timm_file("deit3_small_patch16_224", deit3_names, **SHORT),
        288,
        options={"class_position": False, "layer_scale": 1e-5},
    ),
    Case(
        "MAE",
        "base, pre-training",
        "timm",
        timm_file("vit_base_patch16_224", mae_pretraining, num_classes=0, global_pool="avg", fc_norm=False, **SHORT),
        160,
        pool="mean",
        crop="center 0.875",
    ),
    Case(
        "MAE",
        "base, fine-tuned",
        "timm",
        timm_file("vit_base_patch16_224", lambda t: {"model": t}, global_pool="avg", **SHORT),
        288,
        pool="mean",
        crop="center 0.875",
        options={"norm_after_pool": True},
    ),
    Case(
        "DINOv2",
        "small",
        "timm",
        timm_file("vit_small_patch14_dinov2", dinov2_names, num_classes=0, depth=2),
        224,
        size=518,
    ),
    Case(
        "DINOv2",
        "small, 4 registers",
        "timm",
        timm_file("vit_small_patch14_reg4_dinov2", dinov2_registers, num_classes=0, **SHORT),
        308,
        size=518,
        options={"registers": 4, "class_position": False},
    ),
    Case(
        "DINOv2",
        "giant's SwiGLU",
        "timm",
        timm_file("vit_giant_patch14_dinov2", dinov2_names, num_classes=0, **GIANT),
        224,
        size=518,
        activation="swiglu",
    ),
    Case("torchvision", "vit_b_16", "torchvision", torchvision_file(**BASE), crop="center 0.875", **TV),
    Case(
        "torchvision",
        "vit_b_32",
        "torchvision",
        torchvision_file(**BASE | {"patch_size": 32, "num_layers": 3}),
        crop="center 0.875",
        **TV,
    ),
    Case(
        "torchvision",
        "vit_l_16, tanh layer",
        "torchvision",
        torchvision_file(**LARGE, representation_size=96),
        crop="center 0.92562",
        options={"representation_size": 96},
        **TV,
    ),
    Case(
        "CLIP",
        "ViT-B/32, OpenAI's file",
        "open_clip",
        openai_file(layers=3),
        288,
        norm_eps=1e-5,
        activation="quick_gelu",
        mean_std=CLIP,
    ),
    Case(
        "CLIP",
        "ViT-B/16, open_clip",
        "open_clip",
        open_clip_folder("ViT-B-16", layers=4),
        288,
        norm_eps=1e-5,
        mean_std=CLIP,
        options={"norm_before": True, "patch_bias": False},
    ),
    Case(
        "CLIP",
        "ViT-H/14, open_clip",
        "open_clip",
        open_clip_folder("ViT-H-14", layers=1),
        252,
        norm_eps=1e-5,
        mean_std=CLIP,
        options={"num_heads": 16},
    ),
    Case(
        "transformers",
        "ViT as saved",
        "transformers",
        transformers_folder("ViT", processor=VIT_PROCESSOR, num_hidden_layers=4),
        288,
        **HF_VIT,
    ),
    Case("transformers", "ViT, names of version 4", "transformers", transformers_folder("ViT", 4, **HF), 160, **HF_VIT),
    Case(
        "transformers",
        "ViT, names of version 5",
        "transformers",
        transformers_folder("ViT", 5, VIT_PROCESSOR, **HF),
        288,
        **HF_VIT,
    ),
    Case(
        "transformers",
        "DINOv2",
        "transformers",
        transformers_folder("Dinov2", processor=DINOV2_PROCESSOR, image_size=518, patch_size=14, **HF),
        **HF_DINOV2,
    ),
    Case(
        "transformers",
        "DINOv2 with registers",
        "transformers",
        transformers_folder("Dinov2WithRegisters", processor=DINOV2_PROCESSOR, image_size=518, patch_size=14, **HF),
        **HF_DINOV2,
    ),
    Case(
        "transformers",
        "DINOv2, SwiGLU",
        "transformers",
        transformers_folder("Dinov2", processor=DINOV2_PROCESSOR, patch_size=14, use_swiglu_ffn=True, **HF),
        activation="swiglu",
        **HF_DINOV2,
    ),
    Case(
        "Google JAX", "vision_transformer", "timm", jax_file("vit_small_patch16_224", **SHORT), crop="squash 1", **JAX
    ),
    Case(
        "Google JAX",
        "with pre_logits, opt/target",
        "timm",
        jax_file("vit_tiny_patch16_224", prefix="opt/target/", representation=192, **SHORT),
        crop="squash 1",
        options={"representation_size": 192},
        **JAX,
    ),
    Case(
        "Google JAX",
        "big_vision",
        "timm",
        jax_file("vit_small_patch16_224", big_vision=True, prefix="params/", no_embed_class=True, **SHORT),
        crop="center 0.875",
        **JAX,
    ),
    Case(
        "Google JAX",
        "big_vision, stacked blocks",
        "timm",
        jax_file("vit_small_patch16_224", big_vision=True, stacked=True, no_embed_class=True, **SHORT),
        crop="center 0.875",
        **JAX,
    ),
    Case(
        "Google JAX",
        "big_vision, mean pool",
        "timm",
        jax_file(
            "vit_small_patch16_224",
            big_vision=True,
            prefix="params/",
            class_token=False,
            global_pool="avg",
            fc_norm=False,
            **SHORT,
        ),
        pool="mean",
        crop="center 0.875",
        **JAX,
    ),
    Case(
        "Google JAX",
        "big_vision, MAP head",
        "timm",
        jax_file("vit_base_patch16_siglip_224", big_vision=True, prefix="params/img/", **SHORT),
        pool="map",
        crop="center 0.875",
        **JAX,
    ),
    Case(
        "vit",
        "own file, registers",
        "timm",
        own_file(),
        288,
        mean_std=HALF,
        interpolation="lanczos",
        crop="center 0.8",
        options={"registers": 2},
    ),
]


def resnet(variant: str, reference: str, build: Callable[[], nn.Module], **options: Any) -> Case:
    facts = {"interpolation": "bilinear", "crop": "center 0.875", "options": options}
    return Case("ResNet", variant, reference, resnet_file(build), 160, **facts)


def timm_resnet50(attention: str) -> Callable[[], nn.Module]:
    return lambda: timm.create_model("resnet50", block_args={"attn_layer": attention})


RESNETS = [
    resnet("resnet50", "timm", lambda: timm.create_model("resnet50"), depths=(3, 4, 6, 3), stem="7x7"),
    resnet("resnet18", "timm", lambda: timm.create_model("resnet18"), block="basic", attention="none"),
    resnet("seresnet50", "timm", lambda: timm.create_model("seresnet50"), attention="se"),
    resnet("resnet50, ECA", "timm", timm_resnet50("eca"), attention="eca"),
    resnet("resnet50, CBAM", "timm", timm_resnet50("cbam"), attention="cbam"),
    resnet("resnet18", "torchvision", torchvision_resnet("resnet18"), block="basic", depths=(2, 2, 2, 2)),
    resnet("resnet50", "torchvision", torchvision_resnet("resnet50"), block="bottleneck"),
]
