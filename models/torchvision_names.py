# SPDX-License-Identifier: Apache-2.0
"""What torchvision calls the tensors of the networks that both have: its weights load as they are.

Theirs and ours hold the same tensors in the same places; names of modules differ alone.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import nn

from .plain_weights import load_tensors, read_weights
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


def is_torchvision(path: Path | str, model: str) -> bool:
    """Whether a weight file is of torchvision's twin of a registered model, by its names.

    Raises :exc:`CheckpointError` for a file that cannot be read.
    """
    modules = MODULES.get(model, {})
    if not modules:
        return False
    state, _ = read_weights(path)
    return any(name.rpartition(".")[0] in modules for name in state)


def load_torchvision(module: nn.Module, path: Path | str, model: str) -> None:
    """Loads a ``state_dict`` of torchvision, saved as safetensors, into a registered model.

    Raises :exc:`CheckpointError` where tensors are missing, unknown or of other shapes.
    """
    modules = MODULES[model]
    state, _ = read_weights(path)
    renamed = {}
    for name, tensor in state.items():
        theirs, _, tensor_name = name.rpartition(".")
        renamed[f"{modules[theirs]}.{tensor_name}" if theirs in modules else name] = tensor
    load_tensors(module, renamed, Path(path).name)
