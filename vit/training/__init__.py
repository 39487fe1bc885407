"""How a model learns: the engine around it, and everything that decides a step."""

from . import deferred_metrics

deferred_metrics.defer()  # before any module of this room brings in Lightning
