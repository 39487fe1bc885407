"""What the package logs, for tests that look at it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def heard() -> Iterator[list[str]]:
    """Yield the list that what is logged meanwhile goes into, a text a record."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    logging.getLogger("vit").addHandler(handler)
    try:
        yield lines
    finally:
        logging.getLogger("vit").removeHandler(handler)
