"""A whole training, from the start of its process to its finished evaluation: ours beside a loop of timm's parts.

    uv run tools/measure_whole_training.py CIFAR10 [--rounds N]

CIFAR10 is the data set as folders of images (train/CLASS, test/CLASS). Both train `cifar10_vit_tiny` for one epoch on
the same 5,000 images and evaluate it on the same 1,000: batch, precision, optimizer, augmentation, mixing, clipping and
schedule are the recipe's. timm's side is what its train.py does with `--amp --amp-dtype bfloat16 --workers 2`: its
loader, model, mixup, optimizer and scheduler. Processes take turns.
"""

import json
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from statistics import median
from typing import Any

from vit.environment import environment
from vit.hardware.precision import AUTOCAST_TYPES, resolve_device, resolve_precision
from vit.recipe import load_recipe

RECIPE = "cifar10_vit_tiny"
TRAINING_IMAGES, EVALUATION_IMAGES, CLASSES = 5_000, 1_000, 10
ONE_EPOCH = {"schedule.epochs": 1, "schedule.warmup_epochs": 0}


def main() -> None:
    source = Path(sys.argv[1])
    rounds = int(sys.argv[sys.argv.index("--rounds") + 1]) if "--rounds" in sys.argv else 3
    with tempfile.TemporaryDirectory() as scratch:
        images = choose_images(source, Path(scratch) / "images")
        commands = {"vit": our_command(images), "timm": [sys.executable, __file__, "--timm", str(images)]}
        seconds: dict[str, list[float]] = {name: [] for name in commands}
        for number in range(rounds):
            for name, command in commands.items():
                out = ["--out", f"{scratch}/run-{number}"] if name == "vit" else []
                seconds[name].append(seconds_of([*command, *out]))
                print(f"round {number + 1} of {rounds}: {name} {seconds[name][-1]:.1f} s", flush=True)
    ratios = [theirs / ours for ours, theirs in zip(seconds["vit"], seconds["timm"], strict=True)]
    print(
        f"vit {median(seconds['vit']):.1f} s, timm {median(seconds['timm']):.1f} s: {median(ratios):.2f} times as fast "
        f"({min(ratios):.2f} to {max(ratios):.2f}, {rounds} rounds)"
    )
    print(json.dumps(environment()))


def choose_images(source: Path, images: Path) -> Path:
    """Link the first images of every class: validation/ stands beside train/, and a few for test/."""
    parts = {"train": ("train", 0, TRAINING_IMAGES), "val": ("train", TRAINING_IMAGES, EVALUATION_IMAGES)}
    for split, (origin, skipped, count) in (parts | {"test": ("test", 0, 100)}).items():
        for folder in sorted(path for path in (source / origin).iterdir() if path.is_dir()):
            place = images / split / folder.name
            place.mkdir(parents=True)
            first = skipped // CLASSES
            for path in sorted(folder.iterdir())[first : first + count // CLASSES]:
                (place / path.name).symlink_to(path.resolve())
    return images


def our_command(images: Path) -> list[str]:
    settings = [f"{key}={value}" for key, value in ONE_EPOCH.items()]
    return [sys.executable, "-m", "vit", "train", RECIPE, "data.name=folder", f"data.path={images}", *settings]


def seconds_of(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def train_with_timm(folder: Path) -> None:
    """Train and evaluate as timm's train.py does, with its own functions."""
    import timm
    import torch
    from timm.data.dataset_factory import create_dataset
    from timm.data.loader import create_loader
    from timm.data.mixup import Mixup
    from timm.loss.cross_entropy import SoftTargetCrossEntropy
    from timm.optim._optim_factory import create_optimizer_v2
    from timm.scheduler.scheduler_factory import create_scheduler_v2
    from timm.utils.clip_grad import dispatch_clip_grad
    from timm.utils.metrics import accuracy

    recipe = load_recipe(RECIPE, ONE_EPOCH)
    device = resolve_device("auto")
    precision, _ = resolve_precision(recipe.training.precision, device)
    dtype = AUTOCAST_TYPES[precision]
    place: Any = torch.device(device)
    create: Any = create_loader
    loader, evaluation = (
        create(
            create_dataset("", root=str(folder / split), split=""),
            (3, 32, 32),
            recipe.training.batch_size,
            is_training=split == "train",
            auto_augment="rand-m9-n2" if split == "train" else None,
            color_jitter=None,
            num_workers=2,
            pin_memory=device == "cuda",
            device=place,
        )
        for split in ("train", "val")
    )
    shape: Any = {"img_size": 32, "patch_size": 4, "drop_path_rate": recipe.model.options["drop_path"]}
    model = timm.create_model("vit_tiny_patch16_224", num_classes=CLASSES, **shape).to(place)
    settings = recipe.optimizer
    optimizer = create_optimizer_v2(model, opt="adamw", lr=settings.lr, weight_decay=settings.weight_decay)
    scheduler, _ = create_scheduler_v2(
        optimizer, num_epochs=1, step_on_epochs=False, updates_per_epoch=len(loader), warmup_epochs=0
    )
    mixing = recipe.mixing
    smoothing = recipe.training.label_smoothing
    mix = Mixup(mixing.mixup, mixing.cutmix, prob=mixing.probability, label_smoothing=smoothing, num_classes=CLASSES)
    loss_of = SoftTargetCrossEntropy()
    autocast = torch.autocast(device, dtype) if dtype else nullcontext()
    model.train()
    for number, (images, labels) in enumerate(loader, 1):
        images, targets = mix(images.to(place), labels.to(place))
        with autocast:
            loss = loss_of(model(images), targets)
        loss.backward()
        dispatch_clip_grad(model.parameters(), value=recipe.training.clip_norm or float("inf"))
        optimizer.step()
        optimizer.zero_grad()
        assert scheduler is not None
        scheduler.step_update(number)
        loss.item()
    model.eval()
    with torch.inference_mode(), autocast:
        found = [accuracy(model(images.to(place)), labels.to(place))[0].item() for images, labels in evaluation]
    print(sum(found) / len(found))


if __name__ == "__main__":
    if sys.argv[1] == "--timm":
        train_with_timm(Path(sys.argv[2]))
    else:
        main()
