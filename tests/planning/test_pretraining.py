"""What is said before images are learned from without labels."""

import pytest

from vit.planning.pretraining import outlook


@pytest.mark.parametrize(
    ("images", "published", "said"),
    [
        (2_000, False, "few to learn from alone"),
        (2_000, True, "vit finetune vit_tiny DATA"),
        (20_000, True, "usually teach more"),
        (20_000, False, "worth trying where labels are few"),
        (200_000, True, "worth trying where labels are few"),
    ],
)
def test_whether_it_is_likely_to_pay_is_said(images: int, published: bool, said: str) -> None:
    assert said in outlook(images, published) and f"{images:,} images" in outlook(images, published)
