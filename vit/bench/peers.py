"""The same models as other libraries build them, and how their users run them: as they come, and at their best.

At its best a library runs with the settings that its users know to be faster: convolutions in channels-last layout, a
fused optimizer, attention by any of its own ways, and on GPUs compiled.
"""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.optim import AdamW

from ..errors import UserError
from ..messages import silenced
from ..recipe import Optimizer as OptimizerSettings
from ..runtimes.onnx_file import INSTALL
from ..training.optim import make_optimizer
from .cases import NUM_CLASSES, BenchmarkCase
from .rows import OURS


@dataclass(frozen=True)
class Settings:
    """How a library is run; the defaults are how most come."""

    fused_attention: bool = True
    channels_last: bool = False
    fused_optimizer: bool = False
    compiled: bool = False

    def in_words(self) -> str:
        words = {
            "channels last": self.channels_last,
            "fused optimizer": self.fused_optimizer,
            "plain attention": not self.fused_attention,
            "compiled": self.compiled,
        }
        return ", ".join(word for word, chosen in words.items() if chosen)


@dataclass(frozen=True)
class Subject:
    """A module, and how it is called: images [B, 3, H, W] -> logits [B, C]."""

    module: nn.Module
    call: Callable[[Tensor], Tensor]


def vit(case: BenchmarkCase, settings: Settings) -> Subject:
    module = case.build()
    return Subject(module, module)


def timm(case: BenchmarkCase, settings: Settings) -> Subject:
    from timm.layers.config import set_fused_attn
    from timm.models.resnet import BasicBlock, Bottleneck, ResNet
    from timm.models.vision_transformer import VisionTransformer

    set_fused_attn(settings.fused_attention)  # read when attention is built
    shape = case.shape
    if case.is_vit:
        names = ("patch_size", "embed_dim", "depth", "num_heads", "mlp_ratio")
        sizes: Any = {name: shape[name] for name in names}
        module = VisionTransformer(img_size=case.image_size, num_classes=NUM_CLASSES, **sizes)
    else:
        block: Any = {"basic": BasicBlock, "bottleneck": Bottleneck}[shape["block"]]
        gate = {} if shape["attention"] == "none" else {"attn_layer": shape["attention"]}
        module = ResNet(block, shape["depths"], num_classes=NUM_CLASSES, block_args=gate)
    return Subject(module, module)


def torchvision(case: BenchmarkCase, settings: Settings) -> Subject:
    from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet
    from torchvision.models.vision_transformer import VisionTransformer

    shape = case.shape
    if not case.is_vit:
        block: Any = {"basic": BasicBlock, "bottleneck": Bottleneck}[shape["block"]]
        module: Any = ResNet(block, list(shape["depths"]), num_classes=NUM_CLASSES)
        return Subject(module, module)
    module = VisionTransformer(
        case.image_size,
        shape["patch_size"],
        shape["depth"],
        shape["num_heads"],
        shape["embed_dim"],
        round(shape["embed_dim"] * shape["mlp_ratio"]),
        num_classes=NUM_CLASSES,
    )

    def call(images: Tensor) -> Tensor:
        with nullcontext() if settings.fused_attention else sdpa_kernel(SDPBackend.MATH):
            return module(images)

    return Subject(module, call)


def transformers(case: BenchmarkCase, settings: Settings) -> Subject:
    try:
        import transformers as library
    except ImportError as error:
        raise UserError("transformers is not installed: pip install transformers, or name other peers") from error

    of: Any = library  # its classes take their arguments in ways that no checker follows
    shape = case.shape
    if case.is_vit:
        config = of.ViTConfig(
            image_size=case.image_size,
            patch_size=shape["patch_size"],
            hidden_size=shape["embed_dim"],
            num_hidden_layers=shape["depth"],
            num_attention_heads=shape["num_heads"],
            intermediate_size=round(shape["embed_dim"] * shape["mlp_ratio"]),
            num_labels=NUM_CLASSES,
            attn_implementation="sdpa" if settings.fused_attention else "eager",
        )
        module = of.ViTForImageClassification(config)
    else:
        expansion = {"basic": 1, "bottleneck": 4}[shape["block"]]
        widths = [shape["width"] * expansion << stage for stage in range(len(shape["depths"]))]
        config = of.ResNetConfig(
            embedding_size=shape["width"],
            hidden_sizes=widths,
            depths=list(shape["depths"]),
            layer_type=shape["block"],
            num_labels=NUM_CLASSES,
        )
        module = of.ResNetForImageClassification(config)
    return Subject(module, lambda images: module(images).logits)


def openvino(case: BenchmarkCase, settings: Settings) -> Subject:
    """Compile timm's model at the first call, for bf16 where autocast is on."""
    try:
        import openvino as library
    except ImportError as error:
        raise UserError("openvino is not installed: pip install openvino, or name other peers") from error

    module = timm(case, settings).module
    of: Any = library
    compiled: list[Any] = []

    def call(images: Tensor) -> Tensor:
        if not compiled:
            precision = "bf16" if torch.is_autocast_enabled("cpu") else "f32"
            threads = {"INFERENCE_NUM_THREADS": torch.get_num_threads(), "INFERENCE_PRECISION_HINT": precision}
            with torch.inference_mode(False), torch.no_grad(), torch.autocast("cpu", enabled=False):
                found = of.convert_model(torch.export.export(module.eval(), (images.clone(),)))
            compiled.append(of.compile_model(found, "CPU", threads | {"PERFORMANCE_HINT": "LATENCY"}))
        return torch.from_numpy(compiled[0](images.numpy())[0])

    return Subject(module, call)


def onnxruntime(case: BenchmarkCase, settings: Settings) -> Subject:
    """Write timm's model as ONNX at the first call, in fp32: few of its kernels for CPUs are of bf16."""
    try:
        import onnxruntime as library
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise UserError(f"onnxruntime is not installed: {INSTALL}, or name other peers") from error

    module = timm(case, settings).module
    sessions: list[Any] = []

    def call(images: Tensor) -> Tensor:
        if not sessions:
            with torch.inference_mode(False), torch.no_grad(), silenced():
                program: Any = torch.onnx.export(module.eval(), (images.clone(),), verbose=False)
            options = library.SessionOptions()
            options.intra_op_num_threads = torch.get_num_threads()
            sessions.append(library.InferenceSession(program.model_proto.SerializeToString(), options))
        (given,) = sessions[0].get_inputs()
        return torch.from_numpy(sessions[0].run(None, {given.name: images.numpy()})[0])

    return Subject(module, call)


BUILDERS: dict[str, Callable[[BenchmarkCase, Settings], Subject]] = {
    OURS: vit,
    "timm": timm,
    "torchvision": torchvision,
    "transformers": transformers,
    "openvino": openvino,
    "onnxruntime": onnxruntime,
}
PEERS = [name for name in BUILDERS if name != OURS]
RUNTIMES = ("openvino", "onnxruntime")  # of timm's models, for inference alone
TRAINS = [name for name in PEERS if name not in RUNTIMES]
GATES_OF_TIMM = {"none", "se", "eca", "cbam"}  # in residual blocks


def as_it_comes(peer: str) -> Settings:
    return Settings(fused_optimizer=peer == "transformers")  # as its Trainer's AdamW is


def precision_of(peer: str, precision: str) -> str:
    """Return in what a peer computes where a precision is asked for."""
    return "fp32" if peer == "onnxruntime" else precision


def builds(peer: str, case: BenchmarkCase) -> bool:
    """Return whether a library has this model; of residual networks those with the paper's stem and width."""
    if case.is_vit:
        return True
    shape = case.shape
    published = shape["width"] == 64 and shape["stem"] != "3x3" and case.image_size > 64
    return published and shape["attention"] in (GATES_OF_TIMM if peer in ("timm", *RUNTIMES) else {"none"})


def at_its_best(peer: str, case: BenchmarkCase, device: str) -> list[Settings]:
    """Return what a peer's users may choose from; the fastest of them counts."""
    if peer not in TRAINS:  # it chooses by itself
        return []
    plain = case.is_vit and device == "cpu"  # attention as matrix products, which lost on every GPU
    return [
        Settings(fused, channels_last=not case.is_vit, fused_optimizer=True, compiled=device == "cuda")
        for fused in ((True, False) if plain else (True,))
    ]


def optimizer_of(system: str, module: nn.Module, settings: Settings) -> torch.optim.Optimizer:
    if system == OURS:
        return make_optimizer(module, OptimizerSettings())
    return AdamW(module.parameters(), weight_decay=0.05, fused=settings.fused_optimizer or None)
