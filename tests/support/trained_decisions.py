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


def tiles(shape: tuple[int, int, int]) -> np.ndarray:
    """(40, C, H, W) of uint8: two photographs at half their size, cut into tiles."""
    channels, height, width = shape
    found = []
    for picture in load_sample_images().images:
        half = picture[::2, ::2]
        for row in range(ROWS):
            y = row * (half.shape[0] - height) // (ROWS - 1)
            for column in range(COLUMNS):
                x = column * (half.shape[1] - width) // (COLUMNS - 1)
                found.append(half[y : y + height, x : x + width])
    images = np.stack(found).transpose(0, 3, 1, 2)
    if channels == 1:
        images = images.mean(axis=1, keepdims=True).astype(np.uint8)
    return images


def trained(path: Path) -> nn.Module:
    """The network of a weight file, in evaluation mode, with the outputs that the file is for."""
    model = path.stem.rpartition("-")[0]
    state, _ = read_checkpoint(path)
    spec = get_model(model)
    for n_classes in (spec.n_classes, 20):  # detectors of VOC know twenty kinds of objects
        module = spec.build(n_classes=n_classes)
        if all(state[name].shape == value.shape for name, value in module.named_parameters()):
            break
    load_into(module, path, model)
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
