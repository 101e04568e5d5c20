# SPDX-License-Identifier: Apache-2.0
"""The models the project knows by name."""

from collections.abc import Callable
from dataclasses import dataclass

from models.cifar10net import build_cifar10net, build_cifar10net_64
from models.digits_cnn import build_digits_cnn
from models.errors import ModelError
from models.resnet import build_resnet18_cifar
from models.tiny_vgg import build_tiny_vgg, build_tiny_vgg_12m


@dataclass(frozen=True)
class ModelSpec:
    """One registered network.

    Attributes
    ----------
    name : str
    build : callable
        Takes nothing, returns a new float ``torch.nn.Module`` with random weights.
    input_shape : tuple (C, H, W)
    n_classes : int
    default_dataset : str
        Key into :data:`models.data.DATASETS`.
    summary : str
        One line for lists.
    """

    name: str
    build: Callable
    input_shape: tuple
    n_classes: int
    default_dataset: str
    summary: str


MODELS = {spec.name: spec for spec in (
    ModelSpec("digits_cnn", build_digits_cnn, (1, 8, 8), 10, "digits",
              "three convolutions for tests, 12k parameters"),
    ModelSpec("tiny_vgg", build_tiny_vgg, (3, 32, 32), 10, "digits",
              "VGG with five convolutions, 0.8M parameters"),
    ModelSpec("tiny_vgg_12m", build_tiny_vgg_12m, (3, 64, 64), 10, "digits",
              "VGG with dense layers of the paper's size, 12.0M parameters"),
    ModelSpec("cifar10net", build_cifar10net, (3, 32, 32), 10, "cifar10",
              "the paper's CIFAR10Net, 36.7M parameters"),
    ModelSpec("cifar10net_w64", build_cifar10net_64, (3, 32, 32), 10, "cifar10",
              "CIFAR10Net a quarter as wide, 1.3M parameters"),
    ModelSpec("resnet18_cifar", build_resnet18_cifar, (3, 32, 32), 10, "cifar10",
              "ResNet-18 for 32 x 32 images, a quarter as wide, 0.7M parameters"),
)}


def get_model(name):
    """The :class:`ModelSpec` of a registered name. Raises :exc:`ModelError` for another name."""
    try:
        return MODELS[name]
    except KeyError:
        raise ModelError(f"model: must be one of {', '.join(MODELS)}; {name!r} came; choose one of "
                         "them, a file.py:function or a .pt2 archive") from None
