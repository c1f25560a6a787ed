"""What timm makes of pictures, kept in a file: `python tests/image/timm_pictures.py` beside timm and torchvision.

It writes, for every picture and case, the levels (0 to 255) at spots spread over all rows and columns, before
normalisation. The pictures have every proportion, and borders of every remainder of 4, where roundings differ.
"""

import json
import sys
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from image.made import noise, photographs, sized

FACTS = "timm_pictures.json"
SIZES = ((100, 37), (64, 301), (255, 256), (257, 511), (31, 31), (1000, 99), (640, 480), (333, 500), (224, 225))
PICTURES = {
    "china": photographs()[0],
    "flower": photographs()[1],
    "noise": noise(143, 97),
    **{f"{columns} x {rows}": sized(columns, rows) for columns, rows in SIZES},
}
CASES = [
    {"input_size": [3, *sides], "crop_pct": share, "crop_mode": mode, "interpolation": "bicubic"}
    for sides, share, mode in product(((224, 224), (96, 200)), (0.875, 0.9, 0.95, 1.0), ("center", "squash"))
] + [
    {"input_size": [3, 224, 224], "crop_pct": 0.9, "crop_mode": "center", "interpolation": name}
    for name in ("bilinear", "lanczos", "nearest", "box", "hamming")
]


def spots(picture: Tensor) -> np.ndarray:
    """Return the levels of one channel at 14 places, each in a row and a column of its own."""
    _, rows, columns = picture.shape
    at = np.arange(14)
    places = picture[at % 3, at * (rows - 1) // 13, (at * 5 % 14) * (columns - 1) // 13]
    return np.rint(places.numpy() * 255).astype(int)


def main() -> None:
    """Write the file anew."""
    import timm
    from timm.data.transforms_factory import create_transform

    make: Any = create_transform
    plain = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0), "is_training": False}
    transforms = [make(**case | plain) for case in CASES]
    levels = {name: [spots(t(picture)).tolist() for t in transforms] for name, picture in PICTURES.items()}
    kept = json.dumps({"timm": timm.__version__, "pictures": levels}).replace("], [", "],\n[")
    (Path(__file__).parent / FACTS).write_text(kept + "\n")


if __name__ == "__main__":
    main()
