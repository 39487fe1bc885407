"""torchmetrics in parts: Lightning asks it for two classes, and would wait for all of its metrics.

Its own start brings in every metric of images, sound and text with the libraries behind them, more than half of the
time of `import lightning` (`python -X importtime -c "import lightning"`, torchmetrics 1.9 beside transformers 5.23).
Kept for what it saves of every training's start: 7 of 28 s of processor time where transformers is installed, as here
for the tests, and 3 of 25 s where it is not (medians of three rounds in turns, two shared cores of an AMD EPYC).
"""

import logging
import sys
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any

NAME = "torchmetrics"


class Deferred(ModuleType):
    """A package whose own code runs when a name is asked for that it does not have yet."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        self.__class__ = ModuleType  # type: ignore[assignment]
        self.__spec__.loader.exec_module(self)  # type: ignore[union-attr]
        return getattr(self, name)


def defer() -> None:
    """Bring in what Lightning asks of torchmetrics, and the rest when somebody asks; all of it where that fails."""
    if NAME in sys.modules:
        return
    try:
        sys.modules[NAME] = package = deferred()
        import_module(f"{NAME}.utilities")  # before metric: they import each other
        package.Metric = import_module(f"{NAME}.metric").Metric
        package.MetricCollection = import_module(f"{NAME}.collections").MetricCollection
    except (ImportError, AttributeError):  # of another version, with other names: Lightning imports it whole
        for name in [name for name in sys.modules if name.split(".")[0] == NAME]:
            del sys.modules[name]


def deferred() -> Any:
    spec = find_spec(NAME)
    assert spec is not None
    package = module_from_spec(spec)
    package.__class__ = Deferred
    package.__dict__["__version__"] = version(NAME)
    package.__dict__["_logger"] = logging.getLogger(NAME)  # its modules ask for it
    return package
