"""What follows from the share of its time that training waited for images."""

from ..machine import available_cores
from ..recipe import Recipe

MUCH = 0.1


def in_words(share: float, recipe: Recipe, small: bool) -> str:
    """Return how much training waited, and where that is much, what helps."""
    told = f"{share:.0%} of the time training waited for images"
    return f"{told}: {remedies(recipe, small)}" if share >= MUCH else told


def remedies(recipe: Recipe, small: bool) -> str:
    data, cores = recipe.data, available_cores()
    cached = data.cache != "none" or small
    first = [] if cached else ["data.cache=ram or disk, decoded and resized once"]
    workers = f"more data.workers than {data.workers}, of {cores} cores"
    more = [workers] if data.workers != "auto" and data.workers < cores else []
    return "; ".join([*first, *more, "fewer or cheaper steps of augment"])
