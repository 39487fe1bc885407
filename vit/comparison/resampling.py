"""Whether the seeds of a comparison draw anew which images train and validate: asked for, begun so, or as data are.

Test images stay the same for all seeds, as pairing needs. Which images train is a source of chance like the start of a
training, and on few images a large one (Bouthillier et al. 2021, arXiv:2103.03098).
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..data.sources import datasets
from ..errors import UserError
from ..recipe import Comparison
from ..recipe.values import read_yaml
from .plan import PlannedRun
from .recipes import recipes_of

OWN_IMAGES = ("folder", "nested_folders", "csv")
FEW_IMAGES = 5_000  # which of them train is a source of chance worth drawing anew


def settled(comparison: Comparison, folder: Path) -> Comparison:
    """Return a comparison that says whether its seeds draw their training images anew.

    One that was begun goes on as it was begun; another is as told, or as its data are. Raises UserError for one
    that was begun otherwise, for recipes that draw by a seed of their own, and where there is nothing to draw.
    """
    begun, told = resampled_before(folder), comparison.resample
    if told is None:
        return replace(comparison, resample=has_few_images(comparison) if begun is None else begun)
    if begun not in (None, told):
        raise UserError(
            f"resample is {str(told).lower()}, and {folder} was begun with {str(begun).lower()}; "
            "leave it out to go on, or choose another --out"
        )
    if told:
        check_resampling(comparison)
    return comparison


def resampled_before(folder: Path) -> bool | None:
    """Return whether the seeds of a comparison that was begun draw their training images; None where there is none."""
    kept = folder / "comparison.yaml"
    return read_yaml(kept).get("resample") is True if kept.is_file() else None


def has_few_images(comparison: Comparison) -> bool:
    """Return whether the images are few, the user's own, and in no splits: which of them train is chance then."""
    sections = [recipe.read().data for recipe in recipes_of(comparison)]
    if sections[0].name not in OWN_IMAGES or any(data.resample_seed is not None for data in sections):
        return False
    splits = datasets.read_source(sections[0].name, sections[0].path).splits
    return splits.keys() == {"train"} and len(splits["train"]) < FEW_IMAGES


def check_resampling(comparison: Comparison) -> None:
    """Refuse to draw training images by seed where recipes draw them otherwise, and where none are left to chance."""
    sections = {recipe.folder: recipe.read().data for recipe in recipes_of(comparison)}
    for name, data in sections.items():
        if data.resample_seed is not None:
            raise UserError(
                f"resample is true, and data.resample_seed is {data.resample_seed} in {name}; "
                "leave one of them out: the first draws by training.seed"
            )
    data = next(iter(sections.values()))
    if max(comparison.fractions) == 1 and "validation" in datasets.read_source(data.name, data.path).splits:
        raise UserError(
            f"resample is true, and every seed would train on the same images: {data.path or data.name} has a "
            "validation split, and the largest fraction is 1; leave resample out, or give smaller fractions"
        )


def resampled(planned: Sequence[PlannedRun]) -> bool:
    """Return whether the seeds of every model drew their training images anew, as data.resample_seed says."""
    drawn: dict[tuple[str, float, int | None], list[int | None]] = {}
    for p in planned:
        drawn.setdefault((p.model, p.fraction, p.fold), []).append(p.recipe.data.resample_seed)
    return all(len(seeds) > 1 and None not in seeds and len(set(seeds)) == len(seeds) for seeds in drawn.values())
