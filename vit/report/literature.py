"""Published figures for the same test set and protocol, shown in grey beside ours; none of them was measured here."""

from dataclasses import dataclass

from .results import Family, Results


@dataclass(frozen=True)
class Mark:
    """A published accuracy, trained from scratch on the data set alone."""

    data: str
    model: str
    family: Family
    top1: float
    parameters: str
    epochs: int
    source: str


CCT = "Hassani et al. 2021, arXiv:2104.05704, and its repository SHI-Labs/Compact-Transformers"
SPT = "Lee et al. 2021, arXiv:2112.13492, repository aanna0701/SPT_LSA_ViT"
VIT_CIFAR = "repository omihub777/ViT-CIFAR"
MMPRETRAIN = "repository open-mmlab/mmpretrain, configs/resnet"
MARKS = (
    Mark("cifar10", "ViT of 7 layers, patch 4", "vit", 0.9092, "6.3 M", 200, VIT_CIFAR),
    Mark("cifar10", "ViT-Lite-7/4", "vit", 0.9138, "3.7 M", 200, CCT),
    Mark("cifar10", "ViT, baseline of SPT and LSA", "vit", 0.9358, "not given", 100, SPT),
    Mark("cifar10", "CCT-7/3x1 (convolutional stem)", "vit", 0.9653, "3.8 M", 300, CCT),
    Mark("cifar10", "ResNet-18", "cnn", 0.9482, "11.2 M", 200, MMPRETRAIN),
    Mark("cifar100", "ViT of 7 layers, patch 4", "vit", 0.6654, "6.3 M", 200, VIT_CIFAR),
    Mark("cifar100", "ViT-Lite-7/4", "vit", 0.6975, "3.7 M", 200, CCT),
    Mark("cifar100", "ViT, baseline of SPT and LSA", "vit", 0.7381, "not given", 100, SPT),
    Mark("cifar100", "CCT-7/3x1 (convolutional stem)", "vit", 0.8092, "3.8 M", 300, CCT),
)


def marks(results: Results) -> list[Mark]:
    """Return what was published for the data set, where every model here was trained from scratch, too."""
    if any(results.training.starts.values()):
        return []
    return [mark for mark in MARKS if mark.data == results.data.name]
