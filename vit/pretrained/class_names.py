"""What the outputs of ImageNet models are called, from the tables inside timm."""

from collections import Counter
from functools import cache


@cache
def imagenet(num_classes: int) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """Return the names and WordNet numbers of an ImageNet head's outputs; None where the count is that of no such set.

    Words that name two classes, as "crane" does, carry their number.
    """
    from timm.data.imagenet_info import ImageNetInfo, infer_imagenet_subset

    subset = infer_imagenet_subset({"num_classes": num_classes})
    if subset is None:
        return None
    info = ImageNetInfo(subset)
    words, numbers = info.label_descriptions(), tuple(info.label_names())
    count = Counter(words)
    names = (word if count[word] == 1 else f"{word} ({number})" for word, number in zip(words, numbers, strict=True))
    return tuple(names), numbers


def names_of(num_classes: int) -> tuple[str, ...] | None:
    found = imagenet(num_classes)
    return found[0] if found else None


def synonyms(classes: tuple[str, ...]) -> dict[str, int]:
    """Return every name that a folder of these classes may have, and the class's place: WordNet numbers included."""
    places = {name: place for place, name in enumerate(classes)}
    found = imagenet(len(classes))
    if found and found[0] == classes:
        places |= {number: place for place, number in enumerate(found[1])}
    return places
