"""What was measured of explanations, in sentences."""

from collections.abc import Sequence

from .cells import Grid
from .faithfulness import FEWEST, Curves, Faithfulness, Gain, Protocol
from .weights_check import ALIKE


def gain_in_words(gain: Gain) -> str:
    """Return a gain with its interval, where it has one."""
    if gain.low is None or gain.high is None:
        return f"{gain.mean:+.2f}"
    return f"{gain.mean:+.2f} [{gain.low:+.2f}, {gain.high:+.2f}]"


def verdict(found: Faithfulness | None) -> str:
    """Return whether a method is better than a random order, in words."""
    if found is None:
        return "not measured: its maps are flat"
    if found.images < FEWEST:
        count = "one image" if found.images == 1 else f"{found.images} images"
        return f"{count}: look, and conclude nothing"
    if found.is_better_than_random:
        return "better than a random order"
    if found.deletion.is_found or found.insertion.is_found:
        good = "deletion" if found.deletion.is_found else "insertion"
        return f"better than a random order in {good} alone"
    return "no better than a random order"


def lead(found: Sequence[Faithfulness | None]) -> str:
    """Return in one sentence what a page's maps are worth."""
    measured = [one for one in found if one is not None]
    if not measured:
        return "Every map is flat: nothing was measured."
    if max(one.images for one in measured) < FEWEST:
        return (
            f"Too few images to tell: look at them, and give {FEWEST} or more to know whether the maps mean anything."
        )
    good = sum(one.is_better_than_random for one in measured)
    if good == len(found):
        return "Yes: following any of them changes the answer sooner than a random order of cells."
    if good == 0:
        return "No: following them changes the answer no sooner than a random order of cells."
    return (
        f"{good} of {len(found)}: following the others changes the answer no sooner, or not in both ways, than chance."
    )


def likeness_in_words(likeness: float | None) -> str:
    """Return how like the maps of shuffled weights are, with a warning where they are."""
    if likeness is None:
        return "–"
    return f"{likeness:+.2f}" + (" (tells little of what was learned)" if likeness > ALIKE else "")


def curves_in_words(curves: Curves) -> str:
    """Return what one image's curves say, beside its random orders."""
    deletion, insertion = curves.gains
    return f"deletion {deletion:+.2f}, insertion {insertion:+.2f}"


def protocol_in_words(protocol: Protocol, grid: Grid, images: int) -> str:
    """Return how faithfulness was measured, whole."""
    return (
        f"{images} image{'s' if images != 1 else ''}, a grid of {grid.rows} x {grid.columns} cells, "
        f"{protocol.in_words()}; the area under the class's probability, random order less map for deletion, "
        "map less random order for insertion"
    )
