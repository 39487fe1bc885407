"""How far long work is, and how long the rest of it takes."""

import logging
import time

LINE_EVERY_SECONDS = 5.0

logger = logging.getLogger(__name__)


class Countdown:
    """Logs every few seconds how much is done and how long the rest takes; `line` names {done}, {total}, {left}."""

    def __init__(self, total: int, line: str):
        self.total, self.line = total, line
        self._start = self._last_line = time.perf_counter()

    def tell(self, done: int) -> None:
        """Log where it is due, `done` of all being behind."""
        now = time.perf_counter()
        if now - self._last_line >= LINE_EVERY_SECONDS:
            self._last_line = now
            left = (now - self._start) / done * (self.total - done)
            logger.info(self.line.format(done=done, total=self.total, left=clock(left)))


def clock(seconds: float) -> str:
    """Return 75 as 1:15 and 3700 as 1:01:40."""
    minutes, rest = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
