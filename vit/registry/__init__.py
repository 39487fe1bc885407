"""The names that a recipe may use, each with its function and options; no torch is imported for them."""

from .table import REQUIRED, Lazy, Table
from .tables import (
    BY_PATH,
    DATASETS,
    LISTS,
    MODELS,
    PUBLISHED,
    SUPPLIED,
    TRANSFORMS,
    Additions,
    additions,
    adopt,
    complete_options,
)

__all__ = [
    "BY_PATH",
    "DATASETS",
    "LISTS",
    "MODELS",
    "PUBLISHED",
    "REQUIRED",
    "SUPPLIED",
    "TRANSFORMS",
    "Additions",
    "Lazy",
    "Table",
    "additions",
    "adopt",
    "complete_options",
]
