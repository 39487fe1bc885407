"""A frozen trunk's features, computed once, so that a head alone trains in seconds."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from ..errors import UserError
from ..models.interface import Structure, device_of, features_of, structure_of
from ..progress import Countdown


class HeadOnly(nn.Module):
    """The head of a model, from features to logits; its parameters are the model's own."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.heads = nn.ModuleList(module.get_submodule(name) for name in structure_of(module).heads)
        if len(self.heads) != 1 and not hasattr(module, "classify"):
            raise UserError(f"tuning.trainable=head needs one head, this model has {len(self.heads)}")
        self._classify: Callable[[Tensor], Tensor] = getattr(module, "classify", self.heads[0])

    def structure(self) -> Structure:
        """Return what is left of the model: its heads, as one layer."""
        return Structure(family="vit", heads=("heads",))

    def forward(self, features: Tensor) -> Tensor:
        return self._classify(features)


@torch.inference_mode()
def compute(module: nn.Module, loader: DataLoader, device: str) -> TensorDataset:
    """Return the features and labels of every image of a loader, in its order, computed in fp32."""
    home = device_of(module)
    module = module.to(device).eval()
    features, labels = [], []
    countdown = Countdown(len(loader), "features: {done} of {total} batches, {left} left")
    for done, (images, some) in enumerate(loader, 1):
        features.append(features_of(module, images.to(device)).cpu())
        labels.append(some)
        countdown.tell(done)
    module.to(home)  # its head learns alone from here on, and Lightning moves no more than that
    return TensorDataset(torch.cat(features).clone(), torch.cat(labels))


class FeaturesByEpoch(TensorDataset):
    """Keys (epoch, index) of a batch -> features and labels, which are the same in every epoch."""

    def __getitems__(self, batch: Sequence[tuple[int, int]]) -> tuple[Tensor, ...]:
        return self[[place for _, place in batch]]
