"""Who takes part in a comparison: the pair that fits, with attention modules, or the models that were named."""

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import UserError, nearest
from ..pretrained import sources
from ..pretrained.fitting import as_recipe
from ..pretrained.weights import Weights
from ..registry import MODELS
from .networks import ATTENTION, PRETRAINED, Pair, patch_size_for

logger = logging.getLogger(__name__)

SECONDS_FOR_A_HUB = 5.0  # to answer, before its weights count as out of reach
ATTENTION_NAMES = ("se", "eca", "cbam")


@dataclass(frozen=True)
class Contestant:
    """A model that takes part: its name in the report, its `model` section, and the weights that it starts from."""

    name: str
    model: dict[str, Any] = field(default_factory=dict)
    weights: Weights | None = None


def from_scratch(pair: Pair, image_size: int) -> list[Contestant]:
    """Return a ViT, a ResNet, and that ResNet with attention modules, none of which has learnt anything."""
    resnet = dict(pair.resnet)
    with_attention = [Contestant(f"{resnet['name']}_{a}", resnet | {"attention": a}) for a in ATTENTION]
    return [Contestant("vit", pair.vit_for(image_size)), Contestant(resnet["name"], resnet), *with_attention]


def pretrained(names: Sequence[str]) -> list[Contestant]:
    """Return models with their published weights; raises UserError where these cannot be had."""
    return [of_weights(name, name, sources.read_published(name)) for name in names]


def are_published_at_hand() -> str | None:
    """Return None where published weights can be had, from the cache or the network; else why not."""
    from huggingface_hub import constants, try_to_load_from_cache
    from huggingface_hub.utils import get_session

    smallest = [sources.published_name(name) for name in PRETRAINED[0]]
    if all(isinstance(try_to_load_from_cache(f"timm/{name}", "model.safetensors"), str) for name in smallest):
        return None
    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set, and they are not in the cache"
    answered = threading.Event()

    def ask() -> None:
        try:
            get_session().head(constants.ENDPOINT, timeout=SECONDS_FOR_A_HUB)
        except Exception as error:  # whatever a network raises; told as out of reach
            logger.debug(f"{constants.ENDPOINT}: {error}")
            return
        answered.set()

    asking = threading.Thread(target=ask, daemon=True)  # a name server may take minutes to say no
    asking.start()
    asking.join(SECONDS_FOR_A_HUB)
    return None if answered.is_set() else f"{constants.ENDPOINT} does not answer, and they are not in the cache"


def named(text: str) -> list[Contestant]:
    """Return the models of a list such as vit_small,resnet50+se,timm/convnext_tiny,runs/a,weights.safetensors.

    A name of ours or timm's learns from scratch; a run folder, a file and a published name with a tag start from their
    weights. Raises UserError, a line for each that is none of these.
    """
    found: list[Contestant] = []
    mistakes: list[str] = []
    for name in filter(None, (part.strip() for part in text.split(","))):
        try:
            found.append(one(name))
        except UserError as error:
            mistakes.append(str(error))
    twice = sorted({c.name for c in found if [other.name for other in found].count(c.name) > 1})
    mistakes += [f"{name} is given twice; the report tells models apart by their names" for name in twice]
    if not mistakes and len(found) < 2:
        mistakes = [f"{text or 'nothing'} is given; a comparison needs two models or more"]
    if mistakes:
        raise UserError("\n".join(["--models:", *(f"  {line}" for line in mistakes)]))
    return found


def one(name: str) -> Contestant:
    base, plus, attention = name.partition("+")
    if plus and attention not in ATTENTION_NAMES:
        raise UserError(
            f"{name}: there is no attention {attention}{nearest(attention, ATTENTION_NAMES)} "
            f"({', '.join(ATTENTION_NAMES)})"
        )
    if plus and not base.startswith("resnet"):
        raise UserError(f"{name}: attention modules stand in our residual networks alone")
    if Path(base).exists():
        return of_weights(Path(base).stem, base, sources.read(base))
    if base in MODELS:
        return Contestant(
            base + (f"_{attention}" if plus else ""), {"name": base} | ({"attention": attention} if plus else {})
        )
    if base.startswith("timm/") and sources.published_name(base):
        return Contestant(file_name(base), {"name": base})
    if sources.published_name(base) or "/" in base:
        return of_weights(file_name(base), base, sources.read(base))
    raise UserError(
        f"{name} is no model of ours{nearest(base, MODELS)}, none of timm's (timm/<name>), no run folder "
        "and no file of weights"
    )


def file_name(name: str) -> str:
    return name.replace("/", "_").replace(".", "_")


def of_weights(name: str, source: str, weights: Weights) -> Contestant:
    architecture, options = as_recipe(weights)
    return Contestant(name, {"name": architecture, "pretrained": source} | options, weights)


def size_of(contestants: Sequence[Contestant]) -> tuple[int, int] | None:
    """Return the largest size that weights of contestants were trained at, or None where none has any."""
    sizes = [c.weights.preprocessing.image_size for c in contestants if c.weights]
    return max(sizes) if sizes else None


def fitted(contestant: Contestant, image_size: tuple[int, int]) -> Contestant:
    """Return a ViT of ours that learns from scratch with patches for the size, and any other model as it is."""
    side = min(image_size)
    if contestant.weights or not str(contestant.model["name"]).startswith("vit"):
        return contestant
    return replace(contestant, model=contestant.model | {"patch_size": patch_size_for(side)})
