"""The pictures of a report, as data: addresses: they are no results, and are gone where the images are."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Pictures:
    """Small copies of test images by their names, and of some what each rival's answer rests on, by its model."""

    images: Mapping[str, str] = field(default_factory=dict)
    maps: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
