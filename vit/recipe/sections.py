"""Every setting a run may have: its name, type, default and unit, and the strict reading of YAML.

A recipe is complete in one file. All mistakes are reported at once, each with its dotted path.
"""

from dataclasses import asdict, field, fields
from typing import Annotated, Any, Literal, TypeVar, dataclass_transform

import yaml
from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field
from pydantic.dataclasses import dataclass

from ..errors import nearest
from ..registry.table import named_options, no_flag

S = TypeVar("S")
ONLY_WHERE = {  # settings of where and how often, not of what is computed: a run may go on with others
    "data.workers",
    "data.cache_folder",
    "training.devices",
    "training.nodes",
    "training.strategy",
    "training.checkpoint_seconds",
    "logging.wandb",
    "logging.project",
}
MOST_TRAININGS = 10_000  # of one comparison
TIMM = "timm/"  # begins the names of timm's optimizers
OWN_OPTIMIZERS = ("adamw", "sgd")
OF_ALL_OPTIMIZERS = frozenset({"name", "lr", "layer_decay", "weight_decay"})  # the recipe's keys, whichever is named


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(field,))
def section(cls: type[S]) -> type[S]:
    """Make a class a part of the recipe: frozen, checked, and closed to unknown keys."""
    config = ConfigDict(extra="forbid", allow_inf_nan=False)
    return dataclass(cls, frozen=True, kw_only=True, config=config)  # type: ignore[return-value]


def _not_empty(text: str) -> str:
    if not text:
        raise ValueError("is empty")
    return text


Text = Annotated[str, AfterValidator(_not_empty)]  # pydantic's min_length refuses a file name that is no UTF-8
Real = Annotated[float, BeforeValidator(no_flag)]  # finite, as all numbers of a recipe
Positive = Annotated[Real, Field(gt=0)]
NotNegative = Annotated[Real, Field(ge=0)]
Fraction = Annotated[Real, Field(gt=0, le=1)]
PartialFraction = Annotated[Real, Field(ge=0, lt=1)]
Whole = Annotated[int, BeforeValidator(no_flag)]
Count = Annotated[Whole, Field(gt=0, le=1_000_000)]
CountOrNone = Annotated[Whole, Field(ge=0, le=1_000_000)]
Seed = Annotated[Whole, Field(ge=0, lt=2**32)]  # what NumPy's and Lightning's generators take
Side = Annotated[Whole, Field(gt=0, le=16_384)]  # pixels
Channels = tuple[Real, Real, Real]


def _both_sides(value: Any) -> Any:
    return (value, value) if isinstance(value, int) else value


Size = Annotated[tuple[Side, Side], BeforeValidator(_both_sides)]


def _known_optimizer(name: str) -> str:
    if name in OWN_OPTIMIZERS or name.startswith(TIMM):
        return name
    told = name.encode(errors="backslashreplace").decode()  # pydantic takes no other message
    raise ValueError(f"there is no {told}{nearest(name, OWN_OPTIMIZERS)} ({', '.join(OWN_OPTIMIZERS)}, or timm/<name>)")


Step = Annotated[dict[str, dict[str, Any]], BeforeValidator(named_options), Field(min_length=1, max_length=1)]


@section
class Data:
    name: str = "digits"  # of DATASETS: digits, folder, csv, cifar10, flowers102, ...
    path: Text | None = None  # the images' folder or CSV file; None: the dataset's own place
    image_size: Size  # pixels: side, or [height, width]
    # None in the next five: as the pretrained weights were trained; without these 1.0, bicubic, center, the dataset's
    crop_fraction: Fraction | None = None  # of the resized image's side, kept by the centre crop in evaluation
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos"] | None = None
    crop_mode: Literal["center", "squash"] | None = None  # squash: resized to the size itself, whatever its shape
    mean: Channels | None = None  # per channel, of pixels in [0, 1]
    std: tuple[Positive, Positive, Positive] | None = None
    validation_fraction: PartialFraction = 0.1  # taken from train where there is no validation split
    test_fraction: PartialFraction = 0.2  # taken first, where there is no test split
    fraction: Fraction = 1.0  # of the training images, stratified; smaller fractions lie inside larger ones
    split_seed: Whole = 0  # with the file names, decides every split and subset
    resample_seed: Whole | None = None  # draws validation and the subset of train instead; test stays split_seed's
    sampling: Literal["uniform", "balanced"] = "uniform"  # balanced: every class equally often, the rare ones repeated
    on_error: Literal["fail", "skip"] = "fail"  # skip: files that cannot be decoded are left out, and listed
    cache: Literal["none", "ram", "disk"] = "none"  # images decoded and resized once: 8/7 of the size for random crops
    cache_folder: Text | None = None  # of cache=disk; None: ~/.cache/vit/images
    workers: Annotated[Whole, Field(ge=0, le=1_024)] | Literal["auto"] = (
        "auto"  # loading processes, or threads where no step is Python's
    )


@section
class Mixing:
    mixup: Annotated[Real, Field(ge=0, le=1_000)] = 0.0  # a of Beta(a, a); 0 is off
    cutmix: Annotated[Real, Field(ge=0, le=1_000)] = 0.0
    probability: Annotated[Real, Field(ge=0, le=1)] = 1.0  # of mixing a batch


@section
class Model:
    name: Text
    pretrained: bool | Text | None = (
        None  # true: published under the name; or a file, folder, timm or Hugging Face name
    )
    new_head: bool = False  # leave to replace the weights' head
    options: dict[str, Any] = field(default_factory=dict)  # written beside `name` in the YAML


@section
class Tuning:
    trainable: Literal["all", "head", "lora"] | Count = "all"  # head: on features computed once; N: last N blocks
    freeze_batch_norm: bool = False  # weights and statistics as they are
    lora_rank: Count = 8
    lora_alpha: Count = 16  # adapters are scaled by alpha / rank


@section
class Optimizer:
    name: Annotated[str, AfterValidator(_known_optimizer)] = "adamw"  # or sgd, or timm/<name> of timm.optim
    lr: Positive = 1.0e-3  # peak, at the recipe's batch size; nothing rescales it
    layer_decay: Fraction = 1.0  # factor of the learning rate from each block to the one before it
    weight_decay: NotNegative = 0.05  # on weights, not biases, norms, tokens or positions; decoupled, or as timm's
    momentum: PartialFraction = 0.9  # of sgd
    betas: tuple[PartialFraction, PartialFraction] = (0.9, 0.999)  # of adamw
    options: dict[str, Any] = field(default_factory=dict)  # of timm's, written beside `name`; else timm's defaults

    def __post_init__(self) -> None:
        if not self.name.startswith(TIMM) and self.options:
            raise ValueError(f"{self.name} takes no options but {', '.join(sorted(names_of(Optimizer) - {'options'}))}")
        if self.name.startswith(TIMM) and (self.momentum, self.betas) != (Optimizer.momentum, Optimizer.betas):
            raise ValueError(f"momentum and betas of {self.name} are its options, as it takes them")


@section
class Schedule:
    epochs: Count
    warmup_epochs: NotNegative = 0.0  # linear, from 0 to lr
    final_lr: NotNegative = 0.0  # where the cosine ends
    lower_image_size: Size | None = None
    raised_epochs: CountOrNone = 0  # the last ones, at data.image_size; those before at lower_image_size
    augment_ramp_epochs: CountOrNone = 0  # the first ones, over which randaugment's magnitude grows from 0

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
    batch_size: Count = 128  # images of one optimizer step, over all devices and parts
    accumulate: Count | Literal["auto"] = 1  # parts of a device's share of a step; auto: as its memory needs
    loss: Literal["cross_entropy", "bce"] = "cross_entropy"  # bce: every class by itself, yes or no
    class_weights: Literal["none", "balanced"] = "none"  # balanced: of the loss, inverse to the images of a class
    label_smoothing: PartialFraction = 0.0
    clip_norm: Positive | None = None  # of the whole gradient
    ema_decay: PartialFraction | None = None  # of the averaged weights, which are then the ones kept
    keep: Literal["last", "best"] = "last"  # best: the weights of the epoch that `monitor` liked most
    monitor: Literal[
        "auto",  # validation_top1, or validation_macro_f1 where images may have several labels
        "validation_top1",
        "validation_balanced_accuracy",
        "validation_micro_f1",
        "validation_macro_f1",
        "validation_loss",
    ] = "auto"
    patience_epochs: Count | None = None  # without a better `monitor`; then training ends early
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    gradient_checkpointing: bool = False  # blocks computed again in backward: less memory, a third more time
    compile: bool = False  # by torch.compile
    device: Literal["auto", "cpu", "cuda"] = "auto"
    devices: Count = 1  # processes of every node; torchrun and SLURM say it themselves
    nodes: Count = 1
    strategy: Literal["auto", "ddp", "fsdp"] = "auto"  # auto: ddp where there are several processes
    checkpoint_seconds: NotNegative = 60.0  # between two checkpoints, at least; 0: after every step
    seed: Seed = 0


@section
class Logging:
    wandb: bool = False
    project: str = "vit"


@section
class Recipe:
    data: Data
    augment: tuple[Step, ...] = ()
    mixing: Mixing = Mixing()
    model: Model
    tuning: Tuning = Tuning()
    optimizer: Optimizer = Optimizer()
    schedule: Schedule
    training: Training = Training()
    logging: Logging = Logging()

    def __post_init__(self) -> None:
        if self.schedule.augment_ramp_epochs and not any(name == "randaugment" for name, _ in self.augment_steps()):
            raise ValueError("schedule.augment_ramp_epochs needs randaugment in augment, whose magnitude it raises")

    def augment_steps(self) -> list[tuple[str, dict[str, Any]]]:
        """Return the names of the steps of `augment`, in order, with their options."""
        return [(name, options) for step in self.augment for name, options in step.items()]

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe as the plain values that its YAML holds, every default written out."""
        values = _plain(asdict(self))  # type: ignore[arg-type]
        if self.optimizer.name.startswith(TIMM):
            del values["optimizer"]["momentum"], values["optimizer"]["betas"]
        for name in ("model", "optimizer"):
            options = values[name].pop("options")
            values[name] |= options
        return values

    def to_yaml(self) -> str:
        return yaml.safe_dump(self.to_dict(), sort_keys=False)


MARGIN = 0.01  # a smaller difference of accuracy rarely decides which model is used


@section
class Comparison:
    recipes: Annotated[list[Text], Field(min_length=1, max_length=MOST_TRAININGS)]
    seeds: Count = 3  # trainings by model and fraction, seeds 0, 1, ...
    fractions: Annotated[list[Fraction], Field(min_length=1, max_length=MOST_TRAININGS)] = field(
        default_factory=lambda: [1.0]
    )
    protocol: Literal["same_recipe", "own_recipe"] = "same_recipe"  # own_recipe: learning rate and decay searched for
    trials: Count = 8  # of own_recipe's search, for each model; the first is the recipe as it is
    margin: PartialFraction = MARGIN  # of accuracy: a difference that matters; models that differ by less are as good
    # each seed draws validation and the subset of train anew; None: where no split is given and images are few
    resample: bool | None = None
    overrides: dict[str, Any] = field(default_factory=dict)  # dotted recipe keys, for every recipe

    def __post_init__(self) -> None:
        folders = [f"{fraction:g}" for fraction in self.fractions]  # as the runs' folders are called
        twice = sorted({fraction for fraction in folders if folders.count(fraction) > 1})
        if twice:
            raise ValueError(f"fractions: {', '.join(twice)} is given twice, to six digits")
        trainings = len(self.recipes) * self.seeds * len(self.fractions)
        if trainings > MOST_TRAININGS:
            raise ValueError(
                f"{len(self.recipes)} recipes, {self.seeds:,} seeds and {len(self.fractions)} fractions are "
                f"{trainings:,} trainings; allowed: {MOST_TRAININGS:,}"
            )

    def to_yaml(self) -> str:
        return yaml.safe_dump(_plain(asdict(self)), sort_keys=False)  # type: ignore[arg-type]


def names_of(cls: type) -> set[str]:
    """Return the keys of a section."""
    return {f.name for f in fields(cls)}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
