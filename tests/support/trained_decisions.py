# SPDX-License-Identifier: Apache-2.0
"""What the trained networks decide on photographs that come with scikit-learn.

No data set is needed, so a weight file that was damaged, or read or computed otherwise, is noticed
everywhere. ``python -m tests.support.trained_decisions`` writes ``decisions.json`` anew; that is
right after a network was trained again, and wrong after anything else.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_sample_images
from torch import nn

from stemcore.models.checkpoint import FOLDER, load_into, read_checkpoint
from stemcore.models.registry import get_model

FILE = Path(__file__).parent / "decisions.json"
N_TILES = 40
ROWS, COLUMNS = 4, 5  # tiles of one photograph


def tiles(shape: tuple[int, ...]) -> np.ndarray:
    """(40, C, H, W) of uint8 from two photographs at half their size, twenty of each.

    Tiles where the shape is that of a picture; otherwise runs of bytes, row after row.
    """
    channels, height, width = shape
    found = []
    for picture in load_sample_images().images:
        half = picture[::2, ::2]
        if channels not in (1, 3) or height > half.shape[0] or width > half.shape[1]:
            size = channels * height * width
            starts = np.linspace(0, half.size - size, ROWS * COLUMNS).astype(int)
            found += [half.ravel()[start : start + size].reshape(shape) for start in starts]
            continue
        for row in range(ROWS):
            y = row * (half.shape[0] - height) // (ROWS - 1)
            for column in range(COLUMNS):
                x = column * (half.shape[1] - width) // (COLUMNS - 1)
                tile = half[y : y + height, x : x + width].transpose(2, 0, 1)
                found.append(tile if channels == 3 else tile.mean(axis=0, keepdims=True))
    return np.stack(found).astype(np.uint8)


def trained(path: Path) -> nn.Module:
    """The network of a weight file, in evaluation mode, with the outputs that the file is for."""
    _, metadata = read_checkpoint(path)
    spec = get_model(metadata["model"])
    module = spec.build(n_classes=len(metadata.get("class_names", ())) or spec.n_classes)
    load_into(module, path, spec.name)
    return module.eval()


def real(images: np.ndarray) -> torch.Tensor:
    """Bytes as the networks here see them, in -1..1."""
    return torch.tensor(images / 127.5 - 1, dtype=torch.float32)


def decide(module: nn.Module, images: np.ndarray) -> list[int]:
    """Index of the largest output of every image; of a detector, among all of its cells'."""
    with torch.no_grad():
        return module(real(images)).flatten(1).argmax(1).tolist()


def main() -> None:
    """Write the file anew."""
    found = {}
    for path in sorted(FOLDER.glob("*.safetensors")):
        shape = get_model(path.stem.rpartition("-")[0]).input_shape
        found[path.stem] = decide(trained(path), tiles(shape))
    lines = [f"{json.dumps(name)}: {json.dumps(values)}" for name, values in found.items()]
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    sys.exit(main())
