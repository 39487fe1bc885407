"""The model inside of what a training script saved: which of its state dicts, and below which prefix.

Scripts keep the weights under names of their own, beside averages, optimizers and other networks; wrappers and modules
around the model put prefixes before its names. The model is where the names of a known family begin.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from torch import Tensor

from ..errors import UserError
from .pickles import SAVED_ANEW

Tensors = dict[str, Tensor]
DEEPEST = 4  # mappings inside of each other in which a state dict is looked for
ROOTS = ("state_dict", "model", "model_state", "model_state_dict", "net", "network", "weights", "params", "student")
AVERAGED = re.compile(
    r"(?i:(?:^|[._])(?:ema|average|averages|averaged|swa|shadow|teacher)(?:[._]|$))|EMA|MovingAverage|WeightAverag"
)
NO_MODEL = re.compile(r"optimizer|^optim|sched|scaler|^loops$|^rng", re.IGNORECASE)  # entries without a model in them
# Of torch.compile, FSDP and activation checkpointing: they may stand anywhere in a name.
WRAPPERS = frozenset({"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_forward_module"})
# Tensors that tell a family of weights, and others beside each; what names more comes before what it contains.
MARKS = (
    ("vit.embeddings.patch_embeddings.projection.weight", ()),
    ("dinov2.embeddings.patch_embeddings.projection.weight", ()),
    ("dinov2_with_registers.embeddings.patch_embeddings.projection.weight", ()),
    ("embeddings.patch_embeddings.projection.weight", ("embeddings.position_embeddings",)),
    ("visual.class_embedding", ("visual.conv1.weight",)),
    ("class_embedding", ("conv1.weight",)),
    ("patch_embed.proj.weight", ("blocks.0.norm1.weight",)),
    ("patch_embed.proj.weight", ("blocks.0.0.norm1.weight",)),  # in chunks
    ("conv_proj.weight", ("class_token",)),
    ("layer1.0.conv1.weight", ("conv1.weight",)),
)
TOKENS = ("cls_token", "class_token", "pos_embed")  # beside a trunk's names: it is the stem of a hybrid


class Model(NamedTuple):
    """The tensors of one model in a file, where they lay, and the names of tensors around it."""

    tensors: Tensors
    path: tuple[str, ...]  # of entries, from the outermost
    prefix: str
    aside: tuple[str, ...]

    @property
    def place(self) -> str:
        return "/".join([*self.path, *([f"{self.prefix}*"] if self.prefix else [])]) or "names without a prefix"

    @property
    def rank(self) -> int:
        """Return how usual the entry is for raw weights; 0 is the most usual."""
        return min([ROOTS.index(part) for part in self.path if part in ROOTS], default=len(ROOTS))

    def is_average_of(self, other: "Model") -> bool:
        named = any(AVERAGED.search(part) for part in (*self.path, self.prefix))
        return named and all(
            name in other.tensors and other.tensors[name].shape == tensor.shape for name, tensor in self.tensors.items()
        )


def find(value: Any, source: str) -> tuple[Tensors, str | None, tuple[str, ...]]:
    """Return the state dict of the model in a file's contents, the entry it lay under, and what is to be said of it.

    Averaged weights are taken before raw ones. Raises UserError where there is no state dict, and where several models
    lie side by side of which none is the usual one or the average of another.
    """
    found = list(_state_dicts(value))
    if not found:
        raise UserError(f"{source} holds no state dict (it holds: {_contents(value)}); {SAVED_ANEW}")
    models = [model for path, tensors in found for model in _models(path, tensors)]
    if not models:  # of no family known here: whoever looks for one names it
        path, tensors = max(found, key=lambda pair: sum(tensor.numel() for tensor in pair[1].values()))
        return tensors, path[0] if path else None, ()
    model, raw = _choose(models, source)
    notes = _said(model, raw, [other for other in models if other is not model])
    if isinstance(value, Mapping) and "averaging_state" in value and model.path == ("state_dict",):
        notes += ("averaged weights, as Lightning's callback keeps them in state_dict",)
    tensors = {**raw.tensors, **model.tensors} if raw else model.tensors
    return tensors, model.path[0] if model.path else None, notes


def _state_dicts(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Tensors]]:
    if not isinstance(value, Mapping):
        return
    tensors = {str(name): tensor for name, tensor in value.items() if isinstance(tensor, Tensor)}
    if tensors:
        yield path, _unwrapped(tensors)
    for name, inner in value.items():
        if isinstance(name, str) and len(path) < DEEPEST and not NO_MODEL.search(name):
            yield from _state_dicts(inner, (*path, name))


def _unwrapped(tensors: Tensors) -> Tensors:
    """Return the tensors without the wrappers' parts of their names."""
    if not any(wrapper in name for name in tensors for wrapper in WRAPPERS):
        return tensors
    plain = {".".join(part for part in name.split(".") if part not in WRAPPERS): t for name, t in tensors.items()}
    return plain if len(plain) == len(tensors) else tensors


def _models(path: tuple[str, ...], tensors: Tensors) -> list[Model]:
    """Return the models of a state dict, one for each prefix before a family's names."""
    prefixes: dict[str, str] = {}  # by the tensor that told it
    for mark, others in MARKS:
        for name in tensors:
            prefix = name.removesuffix(mark)
            begins = name.endswith(mark) and (not prefix or prefix.endswith("."))
            if begins and name not in prefixes and all(f"{prefix}{other}" in tensors for other in others):
                prefixes[name] = prefix
    whole = [prefix for prefix in prefixes.values() if not _is_part(prefix, prefixes.values(), tensors)]
    inside: dict[str, Tensors] = {prefix: {} for prefix in sorted(whole, key=len, reverse=True)}
    aside = []
    for name, tensor in tensors.items():
        prefix = next((prefix for prefix in inside if name.startswith(prefix)), None)  # the longest
        if prefix is None:
            aside.append(name)
        else:
            inside[prefix][name.removeprefix(prefix)] = tensor
    return [Model(mine, path, prefix, tuple(aside)) for prefix, mine in inside.items()]


def _is_part(prefix: str, prefixes: Iterable[str], tensors: Tensors) -> bool:
    """Return whether a model is a part of a larger one: inside of another and no average, or of a hybrid's stem."""
    if AVERAGED.search(prefix):
        return False
    if any(prefix != other and prefix.startswith(other) for other in prefixes):
        return True
    parents = ["", *(prefix[: at + 1] for at, letter in enumerate(prefix[:-1]) if letter == ".")]
    return any(parent + name in tensors for parent in parents if parent != prefix for name in TOKENS)


def _choose(models: list[Model], source: str) -> tuple[Model, Model | None]:
    """Return the model that is meant, and the raw one where it is an average."""
    averages = [(model, raw) for model in models for raw in models if raw is not model and model.is_average_of(raw)]
    averages = [(model, raw) for model, raw in averages if not any(raw is average for average, _ in averages)]
    meant = list({id(model): model for model, _ in averages}.values()) or models
    best = min(meant, key=lambda model: model.rank)
    if sum(model.rank == best.rank for model in meant) > 1:
        places = ", ".join(sorted(model.place for model in meant))
        raise UserError(f"{source} holds several models ({places}): of the one that is meant, {SAVED_ANEW}")
    return best, min((raw for model, raw in averages if model is best), key=lambda raw: raw.rank, default=None)


def _said(model: Model, raw: Model | None, others: list[Model]) -> tuple[str, ...]:
    notes = []
    if raw:
        notes.append(f"the averaged weights of {model.place}, not the raw ones of {raw.place}")
        if lacking := len(raw.tensors) - len(model.tensors):
            notes.append(f"{lacking} tensors that have no average are the raw ones")
    elif model.prefix or others:
        notes.append(f"the weights of {model.place}")
    left = [other.place for other in others if other is not raw]
    if left:
        notes.append(f"not those of {', '.join(left)}")
    if model.aside:
        names = ", ".join(model.aside[:3]) + ", ..." * (len(model.aside) > 3)
        notes.append(f"{len(model.aside)} tensors beside them left aside ({names})")
    return tuple(notes)


def _contents(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name!s:.40} ({type(item).__name__})" for name, item in list(value.items())[:5]) or "nothing"
    return f"a {type(value).__module__}.{type(value).__qualname__}"
