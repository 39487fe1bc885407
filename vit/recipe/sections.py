"""Every setting of a run: its type, its default, and below it what it means.

A recipe is complete in one file. Bounds and units belong to the types, which are in types.py. Editors tell what stands
here (recipes/schema/), and docs/recipes.md lists it: tools/renew_recipe_schema.py writes both.
"""

from dataclasses import field
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator

from ..errors import nearest
from ..registry import MODELS, Lazy
from .types import (
    BetaParameter,
    Channels,
    Count,
    Epochs,
    EpochsOrNone,
    FoldNumber,
    Folds,
    Fraction,
    Images,
    NotNegative,
    PartialEpochs,
    PartialFraction,
    Positive,
    PositiveChannels,
    Probability,
    Processes,
    Seconds,
    Seed,
    Share,
    Size,
    Step,
    Text,
    Whole,
    Workers,
    names_of,
    plain,
    section,
)

ONLY_WHERE = {  # settings of where and how often, not of what is computed: a run may go on with others
    "data.workers",
    "data.cache_folder",
    "data.groups",  # the images that follow from it are known by their contents
    "training.devices",
    "training.nodes",
    "training.strategy",
    "training.checkpoint_seconds",
    "logging.wandb",
    "logging.project",
}
TIMM = "timm/"  # begins the names of timm's optimizers
OWN_OPTIMIZERS = ("adamw", "sgd")
OF_ALL_OPTIMIZERS = frozenset({"name", "lr", "layer_decay", "weight_decay"})  # the recipe's keys, whichever is named


def _known_optimizer(name: str) -> str:
    if name in OWN_OPTIMIZERS or name.startswith(TIMM):
        return name
    told = name.encode(errors="backslashreplace").decode()  # pydantic takes no other message
    raise ValueError(f"there is no {told}{nearest(name, OWN_OPTIMIZERS)} ({', '.join(OWN_OPTIMIZERS)}, or timm/<name>)")


def _is_own_transformer(name: str) -> bool:
    entry = MODELS.get(name)
    return isinstance(entry, Lazy) and entry.name == "VisionTransformer"


@section
class Data:
    """Which images, in which splits, brought to which size."""

    name: str = "digits"
    """Data set: one that is known by name, or `folder`, `csv`, `shards` for your own images."""
    path: Text | None = None
    """Folder, CSV file or shards of the images; null: the data set's own place."""
    image_size: Size
    """Side to which images are brought, or [height, width]."""
    crop_fraction: Fraction | None = None
    """Share of the resized image's side that evaluation's centre crop keeps; null: as the weights' own, else 1."""
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos"] | None = None
    """Filter of evaluation's resizing; null: as the weights' own, else bicubic."""
    crop_mode: Literal["center", "squash"] | None = None
    """`squash` resizes to the size itself, whatever the image's shape; null: as the weights' own, else center."""
    mean: Channels | None = None
    """Mean by channel of pixels in [0, 1], subtracted; null: as the weights' own, else the data set's."""
    std: PositiveChannels | None = None
    """Deviation by channel of pixels in [0, 1], divided by; null: as the weights' own, else the data set's."""
    validation_fraction: PartialFraction = 0.1
    """Share of train that becomes validation where there is no such split."""
    test_fraction: PartialFraction = 0.2
    """Share of all images that becomes test, taken first, where there is no such split."""
    fraction: Fraction = 1.0
    """Share of the training images that is used, stratified; smaller shares lie inside larger ones."""
    split_seed: Whole = 0
    """Decides, with the file names, every split and subset."""
    resample_seed: Whole | None = None
    """Draws validation and the subset of train in place of `split_seed`, which goes on deciding test."""
    groups: Text | None = None
    """CSV file with the columns image and group: images of a group (a patient, a series, copies) are never parted."""
    folds: Folds | None = None
    """Equal parts of the images, stratified, one of which is tested; where there is no test split."""
    fold: FoldNumber | None = None
    """Which of `folds` is tested, from 0."""
    sampling: Literal["uniform", "balanced"] = "uniform"
    """`balanced` draws every class equally often, the rare ones repeatedly."""
    on_error: Literal["fail", "skip"] = "fail"
    """`skip` leaves files out that cannot be decoded, and lists them."""
    cache: Literal["none", "ram", "disk"] = "none"
    """Where images are kept decoded and resized: to the size itself, or 8/7 of it for random crops."""
    cache_folder: Text | None = None
    """Folder of `cache: disk`; null: ~/.cache/vit/images."""
    workers: Workers | Literal["auto"] = "auto"
    """Loading processes, or threads where no step is Python's; 0 loads in the training process."""

    def __post_init__(self) -> None:
        if (self.folds is None) != (self.fold is None):
            raise ValueError("folds and fold belong together: how many parts, and which of them is tested")
        if self.folds is not None and self.fold is not None and self.fold >= self.folds:
            raise ValueError(f"fold is {self.fold}; allowed with {self.folds} folds: 0 to {self.folds - 1}")


@section
class Mixing:
    """Pairs of images mixed within a batch, with their labels."""

    mixup: BetaParameter = 0.0
    """a of the Beta(a, a) that MixUp's shares are drawn from; 0 is off."""
    cutmix: BetaParameter = 0.0
    """a of the Beta(a, a) that CutMix's areas are drawn from; 0 is off."""
    probability: Probability = 1.0
    """Probability that a batch is mixed."""


@section
class Model:
    """Which model; its own options stand beside these keys."""

    name: Text
    """One of `vit models`, or `timm/<name>`."""
    pretrained: bool | Text | None = None
    """Weights to start from; true: those published under the name; else a file, folder, timm or Hugging Face name."""
    new_head: bool = False
    """Leave to replace the weights' head."""
    options: dict[str, Any] = field(default_factory=dict)
    """The model's own; written beside `name`."""


@section
class Pretraining:
    """How the model learns without labels, for `vit pretrain` alone; null: it learns labels."""

    method: Literal["masked", "autoregressive"] = "masked"
    """`masked`: most patches are hidden, and a light decoder draws them; `autoregressive`: each tells the next."""
    mask_ratio: Share = 0.75
    """Share of the patches that is hidden, of method masked."""
    decoder_dim: Count | None = None
    """Width of the decoder, a multiple of 4; null: half of the model's, in whole heads."""
    decoder_depth: Count = 1
    """Blocks of the decoder."""
    normalize_targets: bool = False
    """Every patch is asked for with mean 0 and variance 1."""

    def __post_init__(self) -> None:
        if self.method != "masked" and self.mask_ratio != Pretraining.mask_ratio:
            raise ValueError(f"mask_ratio is of method masked, given {self.method}")


@section
class Distillation:
    """A model that this one learns from beside the labels; null: from none."""

    teacher: Text
    """The model that teaches: a run folder, a file or folder of weights, a published name; of the same classes."""
    loss: Literal["soft", "hard"] = "soft"
    """`soft`: its probabilities; `hard`: its answer, as a label."""
    temperature: Positive = 3.0
    """By which the logits of both are divided, of loss soft."""
    weight: Share = 0.5
    """Share of the teacher in the loss; the labels have the rest."""


@section
class Tuning:
    """Which part of the model learns, and how it is adapted."""

    trainable: Literal["all", "head", "lora"] | Count = "all"
    """`head` learns on features computed once, `lora` by adapters; a number N means the last N blocks and the head."""
    freeze_batch_norm: bool = False
    """Leaves weights and statistics of BatchNorms as they are."""
    lora_rank: Count = 8
    """Rank of LoRA's adapters."""
    lora_alpha: Count = 16
    """Adapters are scaled by alpha / rank."""


@section
class Optimizer:
    """How a step is made of a gradient; an optimizer of timm takes its own options beside these keys."""

    name: Annotated[str, AfterValidator(_known_optimizer)] = "adamw"
    """`adamw`, `sgd`, or `timm/<name>` of timm.optim."""
    lr: Positive = 1.0e-3
    """Peak learning rate, at the recipe's batch size; nothing rescales it."""
    layer_decay: Fraction = 1.0
    """Factor of the learning rate from each block to the one before it."""
    weight_decay: NotNegative = 0.05
    """Decay of weights, not of biases, norms, tokens or positions; decoupled, or as timm's optimizer has it."""
    momentum: PartialFraction = 0.9
    """Nesterov's, of sgd."""
    betas: tuple[PartialFraction, PartialFraction] = (0.9, 0.999)
    """Decays of adamw's averages: of gradients, and of their squares."""
    options: dict[str, Any] = field(default_factory=dict)
    """Those of timm's optimizer; written beside `name`, and by default timm's."""

    def __post_init__(self) -> None:
        if not self.name.startswith(TIMM) and self.options:
            raise ValueError(f"{self.name} takes no options but {', '.join(sorted(names_of(Optimizer) - {'options'}))}")
        if self.name.startswith(TIMM) and (self.momentum, self.betas) != (Optimizer.momentum, Optimizer.betas):
            raise ValueError(f"momentum and betas of {self.name} are its options, as it takes them")


@section
class Schedule:
    """How long training lasts, and what changes over its epochs."""

    epochs: Epochs
    """Passes over the training images."""
    warmup_epochs: PartialEpochs = 0.0
    """The first epochs: the learning rate grows linearly from 0 to `optimizer.lr`, then falls as a cosine."""
    final_lr: NotNegative = 0.0
    """Learning rate where the cosine ends."""
    lower_image_size: Size | None = None
    """Size of the images before the last `raised_epochs`; null: `data.image_size` throughout."""
    raised_epochs: EpochsOrNone = 0
    """The last epochs, at `data.image_size`; those before are at `lower_image_size`."""
    augment_ramp_epochs: EpochsOrNone = 0
    """The first epochs, over which randaugment's magnitude grows from 0."""

    def __post_init__(self) -> None:
        if self.raised_epochs and self.lower_image_size is None:
            raise ValueError("raised_epochs needs lower_image_size, the size of the epochs before")
        if self.lower_image_size and not self.raised_epochs:
            raise ValueError("lower_image_size needs raised_epochs, the number of last epochs at data.image_size")
        if self.raised_epochs > self.epochs:
            raise ValueError(f"raised_epochs ({self.raised_epochs}) must not exceed epochs ({self.epochs})")
        if self.augment_ramp_epochs > self.epochs:
            raise ValueError(f"augment_ramp_epochs ({self.augment_ramp_epochs}) must not exceed epochs ({self.epochs})")
        if self.warmup_epochs >= self.epochs:
            raise ValueError(f"warmup_epochs ({self.warmup_epochs:g}) must be less than epochs ({self.epochs})")


@section
class Training:
    """What a step is, what is kept of all steps, and where they are computed."""

    batch_size: Images = 128
    """Images of one optimizer step, over all devices and parts."""
    accumulate: Count | Literal["auto"] = 1
    """Parts in which a device computes its share of a step; auto: as many as its memory needs."""
    loss: Literal["cross_entropy", "bce"] = "cross_entropy"
    """`bce` asks for every class by itself, yes or no; images may then have several labels."""
    class_weights: Literal["none", "balanced"] = "none"
    """`balanced` weighs the loss inversely to the images of a class."""
    label_smoothing: PartialFraction = 0.0
    """Share of a label's weight that is spread evenly over all classes."""
    clip_norm: Positive | None = None
    """Largest norm of the whole gradient; null: not clipped."""
    ema_decay: PartialFraction | None = None
    """Decay of the averaged weights, which are then the ones kept; null: none are averaged."""
    keep: Literal["last", "best"] = "last"
    """`best` keeps the weights of the epoch that `monitor` liked most."""
    monitor: Literal[
        "auto",
        "validation_top1",
        "validation_balanced_accuracy",
        "validation_micro_f1",
        "validation_macro_f1",
        "validation_loss",
    ] = "auto"
    """What chooses the best epoch; auto: top1, or macro_f1 where images may have several labels."""
    patience_epochs: Epochs | None = None
    """Epochs without a better `monitor`, after which training ends; null: it goes on."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Number format; auto: fp32, unless a smaller one is faster on this device."""
    gradient_checkpointing: bool = False
    """Blocks are computed again in backward: less memory, a third more time."""
    compile: bool = False
    """The model is compiled by torch.compile."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """What computes; auto: a GPU where torch sees one."""
    devices: Processes = 1
    """Processes of every node; torchrun and SLURM say it themselves."""
    nodes: Count = 1
    """Machines that train together."""
    strategy: Literal["auto", "ddp", "fsdp"] = "auto"
    """How processes share the work; auto: ddp where there are several."""
    checkpoint_seconds: Seconds = 60.0
    """Shortest time between two checkpoints; 0: one after every step."""
    seed: Seed = 0
    """Decides initial weights, order, augmentation and dropout."""


@section
class Logging:
    """What is told elsewhere than in the run folder."""

    wandb: bool = False
    """Logs to Weights & Biases, offline where there is no account."""
    project: str = "vit"
    """Project of Weights & Biases."""


@section
class Recipe:
    """A training, complete: the sections in the order of the flow."""

    data: Data
    augment: tuple[Step, ...] = ()
    """Transforms of training images, in order: names, or names with their options."""
    mixing: Mixing = Mixing()
    model: Model
    pretraining: Pretraining | None = None
    distillation: Distillation | None = None
    tuning: Tuning = Tuning()
    optimizer: Optimizer = Optimizer()
    schedule: Schedule
    training: Training = Training()
    logging: Logging = Logging()

    def __post_init__(self) -> None:
        if self.schedule.augment_ramp_epochs and not any(name == "randaugment" for name, _ in self.augment_steps()):
            raise ValueError("schedule.augment_ramp_epochs needs randaugment in augment, whose magnitude it raises")
        if self.pretraining and (wrong := self._needing_labels()):
            raise ValueError(f"pretraining reads no labels, and {' and '.join(wrong)} would; leave that out")
        if self.distillation and self.training.loss != "cross_entropy":
            raise ValueError("distillation needs training.loss=cross_entropy: one label an image")
        if self.distillation and self.tuning.trainable == "head":
            raise ValueError("distillation needs tuning.trainable other than head, which learns from features alone")
        if self.pretraining and not _is_own_transformer(self.model.name):
            raise ValueError(f"pretraining is for a Vision Transformer of `vit models`, given {self.model.name}")

    def _needing_labels(self) -> list[str]:
        """Return the settings that only labels give a meaning."""
        training, usual = self.training, Training()
        settings = {
            "mixing": self.mixing != Mixing(),
            "distillation": self.distillation is not None,
            "tuning": self.tuning != Tuning(),
            "data.sampling": self.data.sampling != "uniform",
            "training.monitor": training.monitor not in ("auto", "validation_loss"),
        }
        of_labels = ("loss", "class_weights", "label_smoothing")
        settings |= {f"training.{name}": getattr(training, name) != getattr(usual, name) for name in of_labels}
        return [name for name, there in settings.items() if there]

    def augment_steps(self) -> list[tuple[str, dict[str, Any]]]:
        """Return the names of the steps of `augment`, in order, with their options."""
        return [(name, options) for step in self.augment for name, options in step.items()]

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe as the plain values that its YAML holds, every default written out."""
        values = plain(self)
        if self.optimizer.name.startswith(TIMM):
            del values["optimizer"]["momentum"], values["optimizer"]["betas"]
        for name in ("model", "optimizer"):
            options = values[name].pop("options")
            values[name] |= options
        for name in ("pretraining", "distillation"):
            if values[name] is None:
                del values[name]
        return values

    def to_yaml(self) -> str:
        return yaml.safe_dump(self.to_dict(), sort_keys=False)
