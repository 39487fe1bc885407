"""The recipes that a comparison sets beside each other, by the names that its report gives them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..recipe import Comparison, Recipe, load_recipe


@dataclass(frozen=True)
class NamedRecipe:
    """A recipe of a comparison: its name in the report, its runs' folder, its file, and what is changed of that."""

    name: str
    folder: str
    source: str
    changes: Mapping[str, Any]

    def read(self, more: Mapping[str, Any] | None = None) -> Recipe:
        """Return the recipe under the comparison's settings, and more."""
        return load_recipe(self.source, {**self.changes, **(more or {})})


def recipes_of(comparison: Comparison) -> list[NamedRecipe]:
    """Return a comparison's recipes: its files, or the variants of its one file.

    A variant's settings take the place of the comparison's overrides. Raises UserError for files of one name.
    """
    overrides = comparison.overrides
    if comparison.variants:
        (source,) = comparison.recipes
        return [NamedRecipe(name, name, source, overrides | more) for name, more in comparison.variants.items()]
    files = [Path(source).stem for source in comparison.recipes]
    twice = {name for name in files if files.count(name) > 1}
    if twice:
        raise UserError(
            f"recipes: {', '.join(twice)} is given twice; the report tells models apart by their file names"
        )
    return [
        NamedRecipe(name, file, source, overrides)
        for name, file, source in zip(names_of(comparison), files, comparison.recipes, strict=True)
    ]


def names_of(comparison: Comparison) -> list[str]:
    """Return what the report calls the models: their recipes' names, without the words that all begin with.

    `digits_vit` and `digits_resnet` are `vit` and `resnet`; a word that names a model is kept.
    """
    words = [Path(source).stem.split("_") for source in comparison.recipes]
    models = [load_recipe(source, comparison.overrides).model.name for source in comparison.recipes]
    alike = 0
    while (
        len({name[alike] for name in words}) == 1 < len(words)
        and min(map(len, words)) > alike + 1
        and not any(model.startswith(words[0][alike]) for model in models)
    ):
        alike += 1
    return ["_".join(name[alike:]) for name in words]
