"""Files that cannot be decoded: looked for once, then refused before anything is written, or left out and listed."""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from hashlib import sha256
from importlib.metadata import version
from typing import TYPE_CHECKING

from ...errors import UserError, listed
from ...files import read_memory, write_text
from ...places import cache_folder
from ...progress import Countdown
from ..decoding.reading import FORMATS, HEIF, own_warnings

if TYPE_CHECKING:
    from .images import Images

AT_ONCE = 500  # files between two looks at the clock


def reasons(images: "Images") -> dict[int, str]:
    """Return which images cannot be decoded, and why.

    Those that can be are remembered until any file's name, size or time changes; the others are looked at again, since
    what is mended may not show there.
    """
    if not images.store.encoded:
        return {}
    memory = cache_folder() / "decoded" / f"{digest(images)}-{reader()}.json"
    known = read_memory(memory)
    if known is not None and all(index.isdecimal() and int(index) < len(images) for index in known):
        with own_warnings():
            again = {int(index): images.complaint(int(index)) for index in known}
        return {index: reason for index, reason in again.items() if reason}
    found = undecodable(images)
    with suppress(OSError):  # a home that cannot be written costs a look a run
        write_text(memory, json.dumps(found))
    return found


def undecodable(images: "Images") -> dict[int, str]:
    """Decode every image, and return which cannot be, and why."""
    found: dict[int, str] = {}
    countdown = Countdown(len(images), "{done:,} of {total:,} files decoded; {left} left")
    with own_warnings(), ThreadPoolExecutor() as pool:
        for first in range(0, len(images), AT_ONCE):
            some = range(first, min(first + AT_ONCE, len(images)))
            complaints = pool.map(images.complaint, some)
            found |= {index: reason for index, reason in zip(some, complaints, strict=True) if reason}
            countdown.tell(some.stop)
    return found


def refuse(complaints: list[str]) -> None:
    """Raise UserError for images that cannot be decoded, a line for each, where there are any."""
    if complaints:
        count = "1 image" if len(complaints) == 1 else f"{len(complaints)} images"
        advice = "mend or remove them, or leave them out by data.on_error=skip"
        raise UserError("\n".join([f"{count} cannot be read; {advice}:", *listed(complaints)]))


def reader() -> str:
    """Return what changes when other files can be decoded than before."""
    return sha256(repr((FORMATS, HEIF, version("pillow"))).encode()).hexdigest()[:8]


def digest(images: "Images") -> str:
    """Return what changes when any of the images does."""
    whole = sha256()
    for place in images.places:
        whole.update(ascii(images.store.facts(int(place))).encode())
    return whole.hexdigest()[:32]
