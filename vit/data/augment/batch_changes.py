"""What can be done to a batch of images [B, 3, height, width], to each by an amount of its own."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

GREY = (0.2989, 0.587, 0.114)  # ITU-R BT.601, rounded as torchvision does
Change = Callable[[Tensor, np.ndarray], Tensor]  # some images of a batch, and their places in it


def moved(images: Tensor, matrices: np.ndarray, fill: float) -> Tensor:
    """Move uint8 images by matrices [B, 2, 3] of pixels whose origin is the centre, bilinear between pixels."""
    height, width = images.shape[-2:]
    whole = np.concatenate([matrices, np.broadcast_to([[[0.0, 0.0, 1.0]]], (len(matrices), 1, 3))], 1)
    to_pixels = np.diag([width / 2, height / 2, 1.0])  # from affine_grid's coordinates in [-1, 1]
    back = np.linalg.inv(to_pixels) @ np.linalg.inv(whole) @ to_pixels
    grid = F.affine_grid(on_device(back[:, :2].astype(np.float32), images), list(images.shape), align_corners=False)
    return to_bytes(F.grid_sample(images.float() - fill, grid, align_corners=False) + fill)


def brighter(images: Tensor, factor: Tensor) -> Tensor:
    return images * factor


def more_contrasting(images: Tensor, factor: Tensor) -> Tensor:
    return torch.lerp(_grey(images).mean((-1, -2), keepdim=True), images, factor)


def more_saturated(images: Tensor, factor: Tensor) -> Tensor:
    return torch.lerp(_grey(images), images, factor)


def other_hue(images: Tensor, turn: Tensor) -> Tensor:
    """Turn the hue by a part of the circle, and leave value and saturation, as HSV defines them."""
    red, green, blue = images.unbind(1)
    value, lowest = images.amax(1), images.amin(1)
    chroma = value - lowest
    divisor = chroma.clamp_min(1)
    from_blue = torch.where(value == green, 2 + (blue - red) / divisor, 4 + (red - green) / divisor)
    sixth = torch.where(value == red, (green - blue) / divisor, from_blue)
    places = torch.stack([(sixth + 6 * turn[:, 0] + offset) % 6 for offset in (5, 3, 1)], 1)
    return value[:, None] - chroma[:, None] * torch.minimum(places, 4 - places).clamp(0, 1)


def by_amount(change: Callable[[Tensor, Tensor], Tensor], amounts: np.ndarray) -> Change:
    """Return a change of each uint8 image by its own of the amounts [B]."""

    def changed(images: Tensor, places: np.ndarray) -> Tensor:
        amount = on_device(amounts[places].astype(np.float32), images).view(-1, 1, 1, 1)
        return to_bytes(change(images.float(), amount))

    return changed


def each_by(choices: np.ndarray, changes: Sequence[Change], images: Tensor) -> Tensor:
    """Return images, each changed by the one of `changes` whose number its choice [B] is."""
    result = torch.empty_like(images)
    for number in np.unique(choices):
        places = np.flatnonzero(choices == number)
        where = on_device(places, images)
        result[where] = changes[number](images[where], places)
    return result


def choose(chosen: np.ndarray, changed: Tensor, images: Tensor) -> Tensor:
    """Return the changed image where it is chosen [B], the image itself elsewhere."""
    return torch.where(on_device(chosen, images).view(-1, 1, 1, 1), changed, images)


def to_bytes(values: Tensor) -> Tensor:
    return values.round_().clamp_(0, 255).to(torch.uint8)


def on_device(values: np.ndarray, images: Tensor) -> Tensor:
    return torch.from_numpy(values).to(images.device, non_blocking=True)


def _grey(images: Tensor) -> Tensor:
    weights = torch.tensor(GREY, device=images.device).view(3, 1, 1)
    return (images * weights).sum(1, keepdim=True).floor()
