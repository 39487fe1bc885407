"""Every setting of a comparison: recipes that are trained alike, and what is varied between their trainings."""

from dataclasses import field
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field

from .types import Duration, Folds, Fraction, PartialFraction, Text, Trainings, plain, section

# A variant's runs lie in a folder of its name.
VariantName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+ -]{0,39}$")]
MOST_TRAININGS = 10_000  # of one comparison
MARGIN = 0.01  # a smaller difference of accuracy rarely decides which model is used


@section
class Comparison:
    """Recipes that are trained alike and reported side by side."""

    recipes: Annotated[list[Text], Field(min_length=1, max_length=MOST_TRAININGS)]
    """Paths, or names of shipped recipes; one, where there are `variants` of it."""
    variants: dict[VariantName, dict[str, Any]] = field(default_factory=dict)
    """By a name each: keys, dotted or in sections, that are changed of the one recipe; {} is the recipe as it is."""
    seeds: Trainings = 3
    """Trainings of a model on a fraction, with the seeds 0, 1, ..."""
    fractions: Annotated[list[Fraction], Field(min_length=1, max_length=MOST_TRAININGS)] = field(
        default_factory=lambda: [1.0]
    )
    """Shares of the training images, each trained on by every model."""
    folds: Folds | None = None
    """Parts of the images, each tested by models that train on the others; null: one test split."""
    protocol: Literal["same_recipe", "own_recipe"] = "same_recipe"
    """`own_recipe` first searches each model's learning rate and weight decay, on validation alone."""
    trials: Trainings = 8
    """Trainings of own_recipe's search, for each model; the first is the recipe as it is."""
    margin: PartialFraction = MARGIN
    """Difference of accuracy that matters; models that differ by less are as good."""
    resample: bool | None = None
    """Each seed draws validation and the subset of train anew; null: where no split is given and images are few."""
    time_limit: Duration | None = None
    """Time for all of it, `1h`, `20m` or `90s`: what does not fit is left out, fractions first, then the last seeds."""
    overrides: dict[str, Any] = field(default_factory=dict)
    """Recipe keys, dotted or in sections, changed for every recipe."""

    @property
    def baseline(self) -> str | None:
        """The variant that changes nothing, which the others are beside; None where there is not one."""
        unchanged = [name for name, changes in self.variants.items() if not changes]
        return unchanged[0] if len(unchanged) == 1 else None

    def __post_init__(self) -> None:
        if self.variants and len(self.recipes) > 1:
            raise ValueError(f"variants are of one recipe; {len(self.recipes)} are given")
        folders = [f"{fraction:g}" for fraction in self.fractions]  # as the runs' folders are called
        twice = sorted({fraction for fraction in folders if folders.count(fraction) > 1})
        if twice:
            raise ValueError(f"fractions: {', '.join(twice)} is given twice, to six digits")
        models, kind = (len(self.variants), "variants") if self.variants else (len(self.recipes), "recipes")
        trainings = models * self.seeds * len(self.fractions) * (self.folds or 1)
        if trainings > MOST_TRAININGS:
            by_folds = f", in {self.folds} folds," if self.folds else ""
            raise ValueError(
                f"{models} {kind}, {self.seeds:,} seeds and {len(self.fractions)} fractions{by_folds} are "
                f"{trainings:,} trainings; allowed: {MOST_TRAININGS:,}"
            )

    def to_yaml(self) -> str:
        return yaml.safe_dump(plain(self), sort_keys=False)
