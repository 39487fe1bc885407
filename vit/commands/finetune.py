"""`vit finetune`: a model and images become a run; what the two leave open is chosen, printed, and yours to change."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..folder_lock import at_work
from ..messages import quieted
from ..planning.choices import show
from ..planning.finetuning import choose
from ..pretrained import sources
from ..run_folder import RunFolder, new_folder
from ..training.run import run_training

logger = logging.getLogger(__name__)


def finetune(
    model: str | Path,
    data: str | Path,
    *,
    out: str | Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    resume: bool = False,
    quiet: bool = False,
) -> RunFolder:
    """Fine-tune any MODEL on a folder or dataset, and return the run folder.

    Classes, preprocessing, epochs, batch size and augmentation follow from the two; `overrides` change any of it.
    Raises UserError, with nothing written, for a model or data that are not there or do not fit.
    """
    overrides = dict(overrides or {})
    weights = sources.read(model, {k.removeprefix("model."): v for k, v in overrides.items() if k.startswith("model.")})
    recipe, choices = choose(str(model), weights, data, overrides)
    with quieted(quiet):
        logger.info(show(choices, overrides))
    run = RunFolder(new_folder(out, "runs", f"finetune-{Path(model).name}-{Path(data).name}"))
    with at_work(run.path):
        return run_training(run, recipe, resume=resume, quiet=quiet, weights=weights)
