"""Measure what the filter of random resized crops does to accuracy on CIFAR-10, brought to fewer pixels.

    uv run tools/measure_crop_filter.py CIFAR10 [--size 20] [--epochs 4] [--fraction 0.4] [--seeds 3]

CIFAR10 is a folder of train/<class>/* and test/<class>/*. Crops of 32 pixels shrink to `--size`; the test images are
resized by the bicubic, antialiased filter of every evaluation. Prints a line a training, then a Markdown table.
"""

import argparse
import statistics
from pathlib import Path
from tempfile import TemporaryDirectory

import vit

FILTERS = {
    "bicubic, antialiased (the default)": {"interpolation": "bicubic", "antialias": True},
    "bilinear, not antialiased": {"interpolation": "bilinear", "antialias": False},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--fraction", type=float, default=0.4, help="of the training images")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    accuracies = {name: [] for name in FILTERS}
    for seed in range(arguments.seeds):
        for name, options in FILTERS.items():
            accuracies[name].append(accuracy(arguments, options, seed))
            print(f"seed {seed}: {name}: {accuracies[name][-1]:.2%}", flush=True)
    print("\n| Filter of the crops | Test accuracy | Seeds |\n|---|---|---|")
    for name, values in accuracies.items():
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        print(f"| {name} | {100 * statistics.mean(values):.2f} +- {100 * spread:.2f} % | {len(values)} |")


def accuracy(arguments: argparse.Namespace, options: dict, seed: int) -> float:
    overrides = {
        "data.name": "cifar10",
        "data.path": str(arguments.folder),
        "data.image_size": arguments.size,
        "data.fraction": arguments.fraction,
        "augment": [{"random_resized_crop": {"scale": [0.4, 1.0], **options}}, "horizontal_flip"],
        "schedule.epochs": arguments.epochs,
        "schedule.warmup_epochs": 1,
        "training.batch_size": 128,
        "training.seed": seed,
    }
    with TemporaryDirectory() as scratch:
        run = vit.train("digits_resnet", out=Path(scratch) / "run", overrides=overrides, quiet=True)
        return vit.evaluate(run.path).scores["top1"]


if __name__ == "__main__":
    main()
