"""What a recipe may name under `data.name` and `augment`."""

from ..registry.table import Lazy, Table

LISTS = (".csv", ".tsv")  # endings of files that list images

DATASETS: Table = {
    "digits": Lazy("data.sources.datasets:digits", "1,797 scanned handwritten digits, 8x8, inside scikit-learn"),
    "folder": Lazy("data.sources.folders:folder", "your images: class folders, alone or below train/ val/ test/"),
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

_module = "data.augmentations"
TRANSFORMS: Table = {
    "random_resized_crop": Lazy(
        "data.augment.crops:random_resized_crop", "crop of random area and shape, resized; comes first"
    ),
    "random_crop": Lazy(f"{_module}:random_crop", "crop of the padded image"),
    "horizontal_flip": Lazy(f"{_module}:horizontal_flip", "mirror left and right"),
    "affine": Lazy(f"{_module}:affine", "rotate, shift and scale"),
    "color_jitter": Lazy(f"{_module}:color_jitter", "brightness, contrast, saturation, hue"),
    "randaugment": Lazy(f"{_module}:randaugment", "random operations of one magnitude"),
    "random_erasing": Lazy(f"{_module}:random_erasing", "a rectangle replaced by noise"),
}
