"""The report's figures, as SVG text: pure functions of results, the same for the same results."""

import matplotlib

from ..results import Results
from . import accuracy, cost, internals, trust
from .accuracy import MOST_CLASSES_SHOWN
from .drawing import STYLE, svg


def figures(results: Results) -> dict[str, str]:
    """Return every figure of a report by name, as SVG; one that the results cannot fill is left out."""
    with matplotlib.rc_context(STYLE):
        drawn = {
            "accuracy": accuracy.accuracy(results),
            "cost": cost.cost(results),
            "learning_curves": accuracy.learning_curves(results),
            "reliability": trust.reliability(results),
            "risk_coverage": trust.risk_coverage(results),
            "attention_distance": internals.attention_distance(results),
            "positions": internals.positions(results),
            "receptive_fields": internals.receptive_fields(results),
        }
        if len(results.training.fractions) > 1:
            drawn["data_efficiency"] = accuracy.data_efficiency(results)
        if len(results.data.classes) <= MOST_CLASSES_SHOWN:
            drawn["confusion"] = accuracy.confusion(results)
        if results.robustness:
            drawn |= {"corruptions": trust.corruptions(results), "changes": trust.changes(results)}
        return {name: svg(figure) for name, figure in drawn.items() if figure is not None}
