"""How processes end, in words: memory is named where it may have been that."""

import signal
import sys

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from vit.hardware import endings


@pytest.mark.parametrize(
    ("exit_code", "told"),
    [
        (-9, "was ended from outside by SIGKILL, most likely for lack of memory"),
        (-11, "crashed by SIGSEGV, in a library's code"),
        (-6, "crashed by SIGABRT, in a library's code"),
        (-4, "crashed by SIGILL, in a library's code"),
        (-15, "was ended from outside by SIGTERM"),
        (-40, "was ended from outside by signal 40"),
        (1, "ended with status 1 and no answer"),
        (0, "ended with status 0 and no answer"),
        (None, "ended in a way that is not known"),
    ],
)
def test_an_exit_code_in_words(exit_code: int | None, told: str) -> None:
    words = endings.in_words(exit_code)
    assert words.startswith(told)
    assert ("memory" in words) == (exit_code == -9)


class Deadly(Dataset):
    """Images whose loading ends the process that loads them."""

    def __init__(self, number: signal.Signals):
        self.number = number

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> torch.Tensor:
        signal.signal(self.number, signal.SIG_DFL) if self.number is not signal.SIGKILL else None
        signal.raise_signal(self.number)
        return torch.zeros(1)


@pytest.mark.skipif(sys.platform != "linux", reason="loading processes are forked on Linux alone")
@pytest.mark.parametrize(
    ("number", "told"), [(signal.SIGKILL, "by SIGKILL, most likely"), (signal.SIGSEGV, "crashed by SIGSEGV")]
)
def test_a_loading_process_that_dies_is_told_by_its_signal(number: signal.Signals, told: str) -> None:
    loader = DataLoader(Deadly(number), num_workers=1, multiprocessing_context="fork")
    with pytest.raises(RuntimeError) as caught:
        list(loader)
    words = endings.of_loading(caught.value)
    assert words is not None
    assert told in words or "ended without a word" in words  # where torch's own look came before the signal


def test_other_errors_are_not_of_loading() -> None:
    assert endings.of_loading(RuntimeError("mat1 and mat2 shapes cannot be multiplied")) is None
