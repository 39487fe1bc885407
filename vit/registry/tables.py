"""Name -> function of keywords: everything that a recipe may name. Adding a model or a data set is adding a line here.

From outside of the package it is `vit.registry.MODELS["mine"] = build_mine`; no torch is imported for a name.
"""

from typing import Any

from .table import REQUIRED, Lazy, Table, options_of

_vit = "models.vision_transformer:VisionTransformer"
_resnet = "models.resnet:ResNet"
SUPPLIED = frozenset({"num_classes", "image_size"})  # by the data, not by a recipe's `model` section

MODELS: Table = {
    # Widths and depths: tables 1 of arXiv:2010.11929 and of arXiv:2106.10270 (tiny, small).
    "vit": Lazy(_vit, "Vision Transformer of any width, depth and heads"),
    "vit_tiny": Lazy(_vit, "Vision Transformer, width 192, 12 blocks", embed_dim=192, depth=12, num_heads=3),
    "vit_small": Lazy(_vit, "Vision Transformer, width 384, 12 blocks", embed_dim=384, depth=12, num_heads=6),
    "vit_base": Lazy(_vit, "Vision Transformer, width 768, 12 blocks", embed_dim=768, depth=12, num_heads=12),
    "vit_large": Lazy(_vit, "Vision Transformer, width 1024, 24 blocks", embed_dim=1024, depth=24, num_heads=16),
    "vit_huge": Lazy(
        _vit, "Vision Transformer, width 1280, 32 blocks", embed_dim=1280, depth=32, num_heads=16, patch_size=14
    ),
    # Depths: table 1 of arXiv:1512.03385; `resnet_cifar` is its section 4.2.
    "resnet": Lazy(_resnet, "residual network of any blocks, depths and width"),
    "resnet18": Lazy(_resnet, "residual network, 18 layers", block="basic", depths=(2, 2, 2, 2)),
    "resnet34": Lazy(_resnet, "residual network, 34 layers", block="basic", depths=(3, 4, 6, 3)),
    "resnet50": Lazy(_resnet, "residual network, 50 layers with bottlenecks", block="bottleneck", depths=(3, 4, 6, 3)),
    "resnet_cifar": Lazy(
        _resnet, "narrow residual network of three stages, for small images", block="basic", depths=(3, 3, 3), width=16
    ),
}


PUBLISHED = {  # timm's name of the weights that a name of ours stands for
    "vit_tiny": "vit_tiny_patch16_224.augreg_in21k_ft_in1k",
    "vit_small": "vit_small_patch16_224.augreg_in21k_ft_in1k",
    "vit_base": "vit_base_patch16_224.augreg2_in21k_ft_in1k",
    "vit_large": "vit_large_patch16_224.augreg_in21k_ft_in1k",
    "resnet18": "resnet18.a1_in1k",
    "resnet34": "resnet34.a1_in1k",
    "resnet50": "resnet50.a1_in1k",
}

LISTS = (".csv", ".tsv")  # endings of files that list images
BY_PATH = ("folder", "nested_folders", "unlabelled", "csv", "shards")  # data sets that are nothing without a path

DATASETS: Table = {
    "digits": Lazy("data.sources.datasets:digits", "1,797 scanned handwritten digits, 8x8, inside scikit-learn"),
    "folder": Lazy("data.sources.folders:folder", "your images: class folders, alone or below train/ val/ test/"),
    "nested_folders": Lazy(
        "data.sources.folders:nested_folders", "your images: class folders in class folders, as animal/dog/terrier"
    ),
    "unlabelled": Lazy("data.sources.folders:unlabelled", "images of any folder, at any depth, for `vit pretrain`"),
    "csv": Lazy(
        "data.sources.csv_files:listed", "your images: a CSV file of paths and labels, one or several an image"
    ),
    "shards": Lazy("data.sources.shards:sharded", "your images: tar files in WebDataset's layout, or of class folders"),
    "cifar10": Lazy("data.sources.downloads:cifar10", "60,000 photographs, 32x32, 10 classes"),
    "cifar100": Lazy("data.sources.downloads:cifar100", "60,000 photographs, 32x32, 100 classes"),
    "flowers102": Lazy("data.sources.downloads:flowers102", "8,189 photographs of flowers, 102 classes"),
    "pets": Lazy("data.sources.downloads:pets", "7,349 photographs of cats and dogs, 37 breeds"),
    "food101": Lazy("data.sources.downloads:food101", "101,000 photographs of dishes, 101 classes"),
    "eurosat": Lazy("data.sources.downloads:eurosat", "27,000 satellite images, 64x64, 10 kinds of land"),
}

_steps = "data.augment.per_image"
TRANSFORMS: Table = {
    "random_resized_crop": Lazy(
        "data.augment.crops:random_resized_crop", "crop of random area and shape, resized; comes first"
    ),
    "random_crop": Lazy(f"{_steps}:random_crop", "crop of the padded image"),
    "horizontal_flip": Lazy(f"{_steps}:horizontal_flip", "mirror left and right"),
    "affine": Lazy(f"{_steps}:affine", "rotate, shift and scale"),
    "color_jitter": Lazy(f"{_steps}:color_jitter", "brightness, contrast, saturation, hue"),
    "randaugment": Lazy(f"{_steps}:randaugment", "random operations of one magnitude"),
    "random_erasing": Lazy(f"{_steps}:random_erasing", "a rectangle replaced by noise"),
}


def complete_options(name: str, options: dict[str, Any]) -> dict[str, Any]:
    """Return every option of a model of MODELS that is not its caller's: as given, else preset, else by default."""
    known = {key: option.default for key, option in options_of(MODELS[name]).items() if key not in SUPPLIED}
    return {key: value for key, value in known.items() if value is not REQUIRED} | options


TABLES = {"models": MODELS, "datasets": DATASETS, "transforms": TRANSFORMS}
SHIPPED = {kind: frozenset(table) for kind, table in TABLES.items()}

Additions = dict[str, Table]


def additions() -> Additions:
    """Return what was put into the tables from outside: other processes of a command know the shipped names alone."""
    return {kind: {name: table[name] for name in table.keys() - SHIPPED[kind]} for kind, table in TABLES.items()}


def adopt(added: Additions) -> None:
    """Put what another process has added into the tables of this one."""
    for kind, entries in added.items():
        TABLES[kind].update(entries)
