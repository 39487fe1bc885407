"""The verbs: each reads its arguments, calls one command, and prints what it gives.

A command is imported inside its verb, so that help and a bad recipe answer without torch. `vit --help` lists them in
the order in which they are imported here.
"""

from . import training  # isort: skip
from . import comparing  # isort: skip
from . import answering  # isort: skip
from . import shipping  # isort: skip
from . import listing  # isort: skip
from .app import app

__all__ = ["answering", "app", "comparing", "listing", "shipping", "training"]
