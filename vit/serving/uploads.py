"""An image that came over the network: read in pieces, never more than is allowed, and decoded from memory."""

import asyncio
from typing import Any

from PIL import Image
from starlette.requests import ClientDisconnect

from ..data.decoding.reading import decode
from ..errors import UserError

MOST_BYTES = 20 * 2**20
MOST_READ_BYTES = 128 * 2**20  # and dropped: who is cut off while he sends does not read why
LONGEST_S = 30.0  # for a whole body to come
# What browsers show. `vit predict` reads more, of kinds whose readers have had the most holes.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "AVIF")


class Refused(Exception):
    """A request that is not answered: an HTTP status, and why."""

    def __init__(self, status: int, reason: str):
        super().__init__(reason)
        self.status, self.reason = status, reason


async def body_of(request: Any) -> bytes:
    """Return a request's body; raises Refused for one that is too long, too slow, or empty."""
    parts, size = [], 0
    try:
        async with asyncio.timeout(LONGEST_S):
            async for part in request.stream():
                size += len(part)
                if size <= MOST_BYTES:
                    parts.append(part)
                elif size > MOST_READ_BYTES:
                    break
    except ClientDisconnect as error:
        raise Refused(400, "the connection was closed before the image had come") from error
    except TimeoutError as error:
        raise Refused(408, f"the image did not come whole within {LONGEST_S:g} seconds") from error
    if size > MOST_BYTES:
        raise Refused(413, f"{size / 2**20:.0f} MB or more came; an image of at most {MOST_BYTES >> 20} MB is taken")
    if not size:
        raise Refused(400, "no image came; send a file's bytes as the body: curl --data-binary @photo.jpg ADDRESS")
    return b"".join(parts)


def decoded(body: bytes) -> Image.Image:
    """Return the upright RGB image of a body; raises Refused for what is none, or of a format that is not taken."""
    try:
        return decode(body, "the image sent", FORMATS)
    except UserError as error:
        raise Refused(415, f"{error}; taken: {', '.join(FORMATS)}") from error
