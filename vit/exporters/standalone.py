"""The predict.py that lies beside an ONNX file: it needs Pillow, NumPy and onnxruntime, and neither torch nor vit.

It is put together from this package's own functions, so that it turns, lays over white, resizes and crops exactly as
`vit predict` does. It is also the description that a port to another language copies.
"""

import inspect
import json
import re
from types import FunctionType

from ..data import preprocessing
from ..data.decoding import colours, reading

HEAD = '''"""Name the classes of images by model.onnx, as `vit predict` does, without vit and torch.

    pip install pillow numpy onnxruntime
    python predict.py photo.jpg other.png [--top 5] [--json]

`answers(paths)` does the same from Python. Written by `vit export`; change what you like.
"""

import argparse
import json
import math
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageFile
from PIL.Image import Transpose

MODEL = Path(__file__).resolve().parent / "model.onnx"
Box = tuple[int, int, int, int]
'''

PREPROCESSING = '''
@dataclass(frozen=True)
class Preprocessing:
    """What an image goes through before the graph, which divides by 255 and normalises by itself."""

    image_size: tuple[int, int]  # height, width
    interpolation: str
    crop_fraction: float
    crop_mode: str
'''

MAIN = '''
class Classifier:
    """An ONNX file of `vit export`, with what its metadata say."""

    def __init__(self, path: Path = MODEL):
        self.session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        said = self.session.get_modelmeta().custom_metadata_map
        self.classes = json.loads(said["classes"])
        self.preprocessing = Preprocessing(
            (int(said["height"]), int(said["width"])),
            said["interpolation"],
            float(said["crop_fraction"]),
            said["crop_mode"],
        )

    def pixels(self, path: Path) -> np.ndarray:
        """Return an image as the graph takes it: uint8 RGB [3, height, width]."""
        return np.asarray(to_size(self.preprocessing, read_image(path))).transpose(2, 0, 1)

    def probabilities(self, pixels: np.ndarray) -> np.ndarray:
        """Return the probabilities [B, classes] of uint8 images [B, 3, height, width]."""
        return self.session.run(["probabilities"], {"images": pixels})[0]


def read_image(path: Path) -> Image.Image:
    """Return a file's image upright, in RGB; the first frame of an animated one, alpha laid over white."""
    with warnings.catch_warnings(), Image.open(path, formats=FORMATS) as image:
        warnings.simplefilter("ignore")
        if image.width * image.height > Image.MAX_IMAGE_PIXELS:
            raise ValueError(f"{path}: {image.width} x {image.height} pixels, a decompression bomb")
        rgb = loaded_as_rgb(image)
        return _upright(rgb, image.getexif().get(ORIENTATION, 1))


def answers(paths, top: int = 5, model: Path = MODEL) -> list[dict]:
    """Return, for every image file, {"path", "classes", "probabilities"}, the likeliest `top` first."""
    classifier = Classifier(model)
    found = []
    for path in paths:
        values = classifier.probabilities(classifier.pixels(Path(path))[None])[0].astype(float)
        best = np.argsort(-values, kind="stable")[:top]
        names = [classifier.classes[i] for i in best]
        found.append({"path": str(path), "classes": names, "probabilities": values[best].tolist()})
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Name the classes of images.")
    parser.add_argument("paths", nargs="+", help="image files")
    parser.add_argument("--top", type=int, default=5, help="classes to name for each image")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    try:
        rows = answers(arguments.paths, arguments.top)
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        sys.exit(f"predict.py: {error}")
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return
    for row in rows:
        pairs = zip(row["classes"], row["probabilities"], strict=True)
        print(row["path"], *(f"{name} {probability:.1%}" for name, probability in pairs), sep="  ")


if __name__ == "__main__":
    main()
'''


def script() -> str:
    """Return the text of predict.py."""
    constants = (
        f"FORMATS = {json.dumps(reading.FORMATS)}  # of all that Pillow opens\n"
        f"ORIENTATION = 0x{reading.ORIENTATION:04x}  # of EXIF\n"
        f"MOST_RESIZED_PIXELS = {preprocessing.MOST_RESIZED_PIXELS}  # of larger ones only the crop's part is resized\n"
        f"REACH = {preprocessing.REACH}  # pixels that the widest filter looks at\n"
        f"{_assigned('TURNS')}"
    )
    functions: list[FunctionType] = [
        reading._upright,
        preprocessing.to_size,
        preprocessing._resized_and_kept,
        preprocessing._resized_in_part,
    ]
    sources = [inspect.getsource(function) for function in functions]
    return "\n\n".join([HEAD + constants + PREPROCESSING + _colours(), *sources]) + "\n" + MAIN


def _assigned(name: str) -> str:
    """Return the lines of decoding/reading.py that give a table its values."""
    found = re.search(rf"^{name} = \{{.*?^\}}\n", inspect.getsource(reading), re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[0]


def _colours() -> str:
    """Return decoding/colours.py behind its imports."""
    return inspect.getsource(colours).split("from PIL import Image, ImageFile\n", 1)[1].rstrip() + "\n"
