"""Small copies of images, as pages hold them."""

import base64
import io

from ..data.sources.datasets import Images
from ..errors import UserError

THUMBNAIL = 120  # pixels of the longer side
SMALL = 64  # pixels, each of which is worth keeping


def picture(images: Images, index: int) -> str:
    """Return a small copy of an image as a data: address, or nothing where the image has gone."""
    try:
        image = images.read(index)
    except UserError:
        return ""
    small = max(image.size) <= SMALL
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    buffer = io.BytesIO()
    image.save(buffer, "PNG" if small else "JPEG", quality=80)
    kind = "png" if small else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
