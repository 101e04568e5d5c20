# SPDX-License-Identifier: Apache-2.0
"""What torchvision calls the tensors of the networks that both have: its weights load as they are.

Theirs and ours hold the same tensors in the same places; names of modules differ alone.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from .plain_weights import read_weights
from .resnet import BLOCKS_18, BLOCKS_34
from .vgg16 import VGG16

# What a byte means to networks that torchvision trained: its means and deviations of ImageNet.
INPUT = "0.485,0.456,0.406,0.229,0.224,0.225"
# Within a basic block: theirs, ours.
_BLOCK = {
    "conv1": "body.0",
    "bn1": "body.1",
    "conv2": "body.3",
    "bn2": "body.4",
    "downsample.0": "shortcut.0",
    "downsample.1": "shortcut.1",
}


def _resnet(blocks: Sequence[int]) -> dict[str, str]:
    names = {"conv1": "stem.0", "bn1": "stem.1", "fc": "head.2"}
    n_before = 0
    for stage, n_blocks in enumerate(blocks, start=1):
        for block in range(n_blocks):
            theirs, ours = f"layer{stage}.{block}", f"stages.{n_before + block}"
            names |= {f"{theirs}.{a}": f"{ours}.{b}" for a, b in _BLOCK.items()}
        n_before += n_blocks
    return names


def _vgg16() -> dict[str, str]:
    """Theirs has features and a classifier, ours one list with a flattening between the two."""
    n_features = sum(1 if item == "M" else 2 for item in VGG16)
    names = {f"features.{i}": f"layers.{i}" for i in range(n_features)}
    # Dense layers with ReLU between; theirs has dropout besides.
    dense = {f"classifier.{3 * i}": f"layers.{n_features + 1 + 2 * i}" for i in range(3)}
    return names | dense


# By registered model: torchvision's name of a module, ours.
MODULES: Mapping[str, Mapping[str, str]] = {
    "resnet18": _resnet(BLOCKS_18),
    "resnet34": _resnet(BLOCKS_34),
    "vgg16": _vgg16(),
}


def torchvision_state(path: Path | str, model: str) -> dict[str, torch.Tensor] | None:
    """Tensors of a ``state_dict`` of torchvision's twin of a registered model, under our names.

    None where the model has no twin, and for files with other names. Raises
    :exc:`CheckpointError` for a file that cannot be read.
    """
    modules = MODULES.get(model, {})
    if not modules:
        return None
    state, _ = read_weights(path)
    places = {name: name.rpartition(".") for name in state}
    if not any(theirs in modules for theirs, _, _ in places.values()):
        return None
    return {
        f"{modules[theirs]}.{last}" if theirs in modules else name: state[name]
        for name, (theirs, _, last) in places.items()
    }
