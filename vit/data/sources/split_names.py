"""What people call the three splits."""

import re

SPLIT_FOLDERS = {
    "train": ("train", "training", "trainset"),
    "validation": (
        "val",
        "validation",
        "valid",
        "validate",
        "dev",
        "eval",
        "evaluation",
        "valset",
        "devset",
    ),
    "test": ("test", "testing", "tests", "testset"),
}
SPLITS = {name: split for split, names in SPLIT_FOLDERS.items() for name in names}


def split_called(name: str) -> str | None:
    """Return the split that a name is one of, in upper or lower case; None for any other name."""
    return SPLITS.get(name.lower())


def split_within(name: str) -> str | None:
    """Return the split that is one word of a name, as in seg_train, test-images and val2017; None for none or two."""
    found = {SPLITS[word] for word in re.split(r"[\W\d_]+", name.lower()) if word in SPLITS}
    return found.pop() if len(found) == 1 else None
