"""Everything that a recipe may name, in one value; no torch is imported for it."""

from ..data import DATASETS, TRANSFORMS
from ..models import MODELS
from ..recipe.mistakes import Tables

TABLES = Tables(MODELS, DATASETS, TRANSFORMS)
