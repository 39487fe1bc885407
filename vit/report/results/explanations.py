"""What explanations of models are worth: whether their maps find what answers rest on sooner than chance."""

from dataclasses import dataclass

from ..statistics import Estimate
from .rows import OfModel

FEWEST = 10  # images, from which on a mean over them says something
ALIKE = 0.5  # rank correlation with the maps of shuffled weights, above which a method tells little of what was learned


@dataclass(frozen=True)
class ExplanationRow(OfModel):
    """A method's maps of a model's answers, beside random orders of cells, and what the method answers.

    `deletion` and `insertion` are by how much the areas under the class's probability are better than those of random
    orders, in the mean over `images`; None where no map says anything. `likeness` is the rank correlation with maps of
    shuffled weights; None where it was not asked for. `protocol` tells how it was measured.
    """

    method: str
    answers: str
    images: int
    deletion: Estimate | None
    insertion: Estimate | None
    likeness: float | None
    protocol: str

    @property
    def is_known(self) -> bool:
        """Whether there are images enough to say anything."""
        return self.images >= FEWEST and self.deletion is not None and self.insertion is not None

    @property
    def better_in(self) -> list[str]:
        """In what the maps are better than random orders, as far as is known."""
        gains = {"deletion": self.deletion, "insertion": self.insertion}
        return [name for name, gain in gains.items() if gain and gain.low > 0 and self.is_known]
