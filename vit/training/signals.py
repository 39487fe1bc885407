"""Ctrl-C, SIGTERM and a closed terminal end training after the step that is running: a checkpoint is whole."""

import logging
import signal
import threading
from types import FrameType

from ..hardware.endings import ASKING

logger = logging.getLogger(__name__)


class StopSignals:
    """Whether a signal to stop has come; a second one interrupts at once."""

    def __init__(self) -> None:
        self.received = False
        self._former: dict[signal.Signals, object] = {}

    def listen(self) -> None:
        if threading.current_thread() is threading.main_thread():  # no other may hear signals
            heard = [number for number in ASKING if signal.getsignal(number) is not signal.SIG_IGN]
            self._former = {number: signal.signal(number, self._hear) for number in heard}

    def leave(self) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._former = {}

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.received:
            self.leave()
            raise KeyboardInterrupt
        self.received = True
        logger.warning("stopping after this step; once more stops at once")
