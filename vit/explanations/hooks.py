"""Looking at a module at work: what passes its parts, with the module left as it was, whatever happens."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from torch import nn


@contextmanager
def hooked(parts: Sequence[nn.Module], keep: Callable[..., None]) -> Iterator[None]:
    """Let `keep` see what goes into every part, and what comes out."""
    hooks = [part.register_forward_hook(keep) for part in parts]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def answering(module: nn.Module) -> Iterator[None]:
    """Let a module answer as it does outside training: nothing is left out by chance, no average moves."""
    training = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, was_training in training.items():
            part.training = was_training
