"""What a model began with, where it did not begin from nothing."""

from dataclasses import dataclass

from ..progress import clock


@dataclass(frozen=True)
class LearnedWithoutLabels:
    """What a model learned from without labels, and what that took; `images_digest` stands for the images."""

    method: str
    images: int
    epochs: int
    seconds: float
    images_digest: str

    def in_words(self) -> str:
        took = f"{self.images:,} images, {self.epochs} epochs, {clock(self.seconds)}"
        return f"learned without labels ({self.method}; {took})"


@dataclass(frozen=True)
class Start:
    """The pretrained weights of a model, and which of its parts they left new.

    `pretrained` names the weights; `notes` say what was assumed of them, changed or left aside; `fresh_parts` are the
    names of tensors that the weights do not hold, the head's apart. A new head stood in place of one of
    `replaced_classes`, or of none.
    """

    pretrained: str
    family: str | None = None  # of the weights; None: of a run whose version did not keep it
    notes: tuple[str, ...] = ()
    fresh_parts: tuple[str, ...] = ()
    new_head: bool = False
    replaced_classes: int = 0

    def in_words(self) -> str:
        """Return all of it in a line."""
        if self.family is None:
            return self.pretrained
        parts = [f"weights of {self.pretrained} ({self.family})", *self.notes]
        if self.new_head:
            parts.append(
                f"new head in place of {self.replaced_classes} classes" * bool(self.replaced_classes) or "new head"
            )
        if self.fresh_parts:
            parts.append(f"{len(self.fresh_parts)} tensors of the attention modules start fresh")
        return "; ".join(parts)
