"""Small models with drawn weights, in files as users have them."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

import vit
from vit.data.preprocessing import Preprocessing
from vit.model import Architecture, Model
from vit.probabilities import Output
from vit.registry import complete_options

SHAPE = {"patch_size": 4, "embed_dim": 24, "depth": 2, "num_heads": 3}
CLASSES = ("cat", "dog", "a <b> & c")
SMALL = Preprocessing((32, 48), (0.5,) * 3, (0.3,) * 3)


def drawn_anew(module: nn.Module, seed: int = 0) -> nn.Module:
    """Draw every parameter and buffer of a module anew, so that none hides behind 0 or 1; return it."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in module.state_dict().items():
        if not tensor.is_floating_point():
            continue
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 1.5, generator=generator)
        elif tensor.ndim > 1:
            tensor.normal_(0, tensor[0].numel() ** -0.5, generator=generator)
        else:
            tensor.normal_(1.0 if name.endswith("weight") else 0.0, 0.2, generator=generator)
    return module


def model_file(
    path: Path,
    randomize: Callable,
    name: str = "vit",
    output: Output = "softmax",
    preprocessing: Preprocessing = SMALL,
    **options,
) -> str:
    """Write a small model with drawn weights, and return its name on the command line."""
    given = (SHAPE if name == "vit" else {"block": "basic", "depths": (1, 1), "width": 8}) | options
    module = randomize(vit.create_model(name, num_classes=len(CLASSES), image_size=preprocessing.image_size, **given))
    architecture = Architecture(name, complete_options(name, given), len(CLASSES)).settled_in(module)
    Model(module, architecture, CLASSES, preprocessing, output).save(path)
    return str(path)
