"""A Vision Transformer or a CNN for your images? Train both fairly, and read a report you can defend.

The public names below are imported when they are first used: `import vit` alone loads no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .messages import begin_to_speak

if TYPE_CHECKING:
    from .commands.compare import compare
    from .commands.evaluate import evaluate
    from .commands.explain import explain
    from .commands.export import export
    from .commands.finetune import finetune
    from .commands.models import list_models
    from .commands.pretrain import pretrain
    from .commands.serve import application, serve
    from .commands.train import train
    from .errors import UserError
    from .model import Model, create_model, load

__version__ = "0.1.0"
__all__ = [
    "Model",
    "UserError",
    "application",
    "compare",
    "create_model",
    "evaluate",
    "explain",
    "export",
    "finetune",
    "list_models",
    "load",
    "pretrain",
    "serve",
    "train",
]

_HOMES = {
    "Model": "vit.model",
    "UserError": "vit.errors",
    "application": "vit.commands.serve",
    "compare": "vit.commands.compare",
    "create_model": "vit.model",
    "evaluate": "vit.commands.evaluate",
    "explain": "vit.commands.explain",
    "export": "vit.commands.export",
    "finetune": "vit.commands.finetune",
    "list_models": "vit.commands.models",
    "load": "vit.model",
    "pretrain": "vit.commands.pretrain",
    "serve": "vit.commands.serve",
    "train": "vit.commands.train",
}

begin_to_speak()


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'vit' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
