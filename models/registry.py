# SPDX-License-Identifier: Apache-2.0
"""The models the project knows by name."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from stemcore.nearest import did_you_mean

from .arrays import Shape
from .audio_cnn import build_audio_cnn
from .cifar10net import (
    build_cifar10net,
    build_cifar10net_16,
    build_cifar10net_16_direct,
    build_cifar10net_16_position,
    build_cifar10net_64,
    build_cifar10net_64_direct,
    build_cifar10net_64_position,
)
from .data import (
    CLASSIFICATION,
    DATASETS,
    DEFAULT_DATASETS,
    DETECTION,
    HOLDS,
    SEGMENTATION,
    SOURCES,
    check_dataset,
)
from .digits_cnn import build_digits_cnn
from .errors import ModelError
from .lenet5 import build_lenet5
from .mlperf_tiny import (
    build_deep_autoencoder,
    build_ds_cnn,
    build_mobilenet_v1_quarter,
    build_resnet8,
)
from .resnet import build_resnet18, build_resnet18_cifar, build_resnet34
from .resnet10 import build_resnet10
from .tiny_vgg import build_tiny_vgg, build_tiny_vgg_12m, build_vgg11
from .unet import build_unet, build_unet_upsampling
from .vgg7 import build_vgg7
from .vgg16 import build_vgg16
from .yolo import build_tiny_yolo, build_tiny_yolo_backbone, build_yolo_resnet34

CLASSES, VALUES = "classes", "values"


@dataclass(frozen=True)
class ModelSpec:
    """One registered network.

    Attributes
    ----------
    name : str
    build : callable
        ``build(n_classes=..)`` returns a new float ``torch.nn.Module`` with random weights, its
        outputs as many as the classes of the data set ask for: one each, or for a detector what
        :func:`stemcore.models.yolo.n_outputs` says. Without an argument: for ``n_classes``.
    input_shape : tuple (C, H, W)
    n_classes : int
        Of the default data set.
    default_dataset : str
        Key into :data:`stemcore.models.data.DATASETS`; one that needs no download.
    summary : str
        One line for lists.
    preset : str
        Chip that holds it, by its name in ``stemcore.golden.spec.params.PRESETS``.
    input : str
        What a byte of an image means to it, see :mod:`stemcore.models.data.preprocess`.
    outputs : str
        ``CLASSES``, or ``VALUES`` where they say nothing of classes.
    relu_model : str
        For a network of LIF neurons, which no chip holds: the name of the same layers with ReLU.
    dense_model : str
        For a network whose weights were trained on for few spikes: the name of the one that they
        come from.
    """

    name: str
    build: Callable[..., nn.Module]
    input_shape: Shape
    n_classes: int
    default_dataset: str
    summary: str
    preset: str = "sim32"
    relu_model: str = ""
    input: str = "signed"
    outputs: str = CLASSES
    dense_model: str = ""

    @property
    def task(self) -> str:
        """``CLASSIFICATION``, ``DETECTION`` or ``SEGMENTATION``."""
        return DATASETS[self.default_dataset].task

    def check_task(self, dataset: str) -> None:
        """Raises :exc:`ModelError` unless the data set is for this model's task."""
        check_dataset(dataset)
        if SOURCES[dataset].task != self.task:
            fitting = ", ".join(
                name for name, source in DATASETS.items() if source.task == self.task
            )
            raise ModelError(
                f"{self.name}: needs {HOLDS[self.task]} ({fitting}); {dataset!r} came; choose "
                "one of these data sets or another model"
            )

    def check_trains(self) -> None:
        """Raises :exc:`ModelError` for a network that labels do not teach."""
        if self.outputs == VALUES:
            raise ModelError(
                f"{self.name}: training needs outputs that are classes; values came, which labels "
                "say nothing of; train it with a program of your own"
            )

    def check_compiles(self) -> None:
        """Raises :exc:`ModelError` for a network that the compiler has no layers for."""
        if self.relu_model:
            raise ModelError(
                f"{self.name}: the compiler needs ReLU; LIF neurons came, which fire when their "
                "potential crosses a threshold and keep the rest for later steps, where the "
                "chip's neurons fire the bits of a finished integer; choose "
                f"MODEL={self.relu_model}, the same layers with ReLU, or `make tables`, which "
                "compares both"
            )


def _spec(
    name: str,
    build: Callable[..., nn.Module],
    input_shape: Shape,
    summary: str,
    task: str = CLASSIFICATION,
    preset: str = "sim32",
    relu_model: str = "",
    outputs: str = CLASSES,
    dataset: str = "",
    dense_model: str = "",
) -> ModelSpec:
    default = dataset or DEFAULT_DATASETS[task]
    names = DATASETS[default].class_names
    assert not callable(names), "the default comes with the project"
    return ModelSpec(
        name,
        build,
        input_shape,
        len(names),
        default,
        summary,
        preset,
        relu_model,
        outputs=outputs,
        dense_model=dense_model,
    )


MODELS = {
    spec.name: spec
    for spec in (
        _spec(
            "digits_cnn",
            build_digits_cnn,
            (1, 8, 8),
            "three convolutions for tests, 12k parameters",
        ),
        _spec(
            "lenet5",
            build_lenet5,
            (1, 32, 32),
            "LeNet-5 as published: tanh, means with a gain, softmax; 62k parameters",
        ),
        _spec(
            "tiny_vgg", build_tiny_vgg, (3, 32, 32), "VGG with five convolutions, 0.8M parameters"
        ),
        _spec(
            "tiny_vgg_sparse",
            build_tiny_vgg,
            (3, 32, 32),
            "tiny_vgg, trained on for few spikes",
            dense_model="tiny_vgg",
        ),
        _spec(
            "vgg7",
            build_vgg7,
            (3, 32, 32),
            "VGG with seven convolutions, whitened input, 2.0M parameters",
        ),
        _spec(
            "resnet10",
            build_resnet10,
            (3, 32, 32),
            "ResNet with ten convolutions, whitened input, 2.5M parameters",
        ),
        _spec(
            "resnet10_sparse",
            build_resnet10,
            (3, 32, 32),
            "resnet10, trained on for few spikes",
            dense_model="resnet10",
        ),
        _spec(
            "tiny_vgg_12m",
            build_tiny_vgg_12m,
            (3, 64, 64),
            "VGG with dense layers of the paper's size, 12.0M parameters",
            preset="sim32_wide",
        ),
        _spec(
            "cifar10net",
            build_cifar10net,
            (3, 32, 32),
            "the paper's CIFAR10Net, 36.7M parameters",
            preset="large",
        ),
        _spec(
            "cifar10net_w64",
            build_cifar10net_64,
            (3, 32, 32),
            "CIFAR10Net a quarter as wide, 1.3M parameters",
        ),
        _spec(
            "cifar10net_w64_direct",
            build_cifar10net_64_direct,
            (3, 32, 32),
            "cifar10net_w64 with LIF neurons and direct coding, for comparison",
            relu_model="cifar10net_w64",
        ),
        _spec(
            "cifar10net_w64_position",
            build_cifar10net_64_position,
            (3, 32, 32),
            "cifar10net_w64 with LIF neurons and position coding, for comparison",
            relu_model="cifar10net_w64",
        ),
        _spec(
            "cifar10net_w16",
            build_cifar10net_16,
            (3, 32, 32),
            "CIFAR10Net a sixteenth as wide, 0.16M parameters",
        ),
        _spec(
            "cifar10net_w16_direct",
            build_cifar10net_16_direct,
            (3, 32, 32),
            "cifar10net_w16 with LIF neurons and direct coding, for comparison",
            relu_model="cifar10net_w16",
        ),
        _spec(
            "cifar10net_w16_position",
            build_cifar10net_16_position,
            (3, 32, 32),
            "cifar10net_w16 with LIF neurons and position coding, for comparison",
            relu_model="cifar10net_w16",
        ),
        _spec(
            "resnet18_cifar",
            build_resnet18_cifar,
            (3, 32, 32),
            "ResNet-18 for 32 x 32 images, a quarter as wide, 0.7M parameters",
        ),
        _spec(
            "resnet8",
            build_resnet8,
            (3, 32, 32),
            "MLPerf Tiny: image classification, 78k parameters",
        ),
        _spec(
            "ds_cnn",
            build_ds_cnn,
            (1, 49, 10),
            "MLPerf Tiny: keyword spotting, 23k parameters",
        ),
        _spec(
            "mobilenet_v1_quarter",
            build_mobilenet_v1_quarter,
            (3, 96, 96),
            "MLPerf Tiny: visual wake words, 0.2M parameters",
        ),
        _spec(
            "deep_autoencoder",
            build_deep_autoencoder,
            (1, 5, 128),
            "MLPerf Tiny: anomaly detection, spectra in and out, 0.27M parameters",
            outputs=VALUES,
        ),
        _spec(
            "audio_cnn",
            build_audio_cnn,
            (1, 1, 16000),
            "keyword spotting on one second of samples, 13k parameters",
            preset="sim32_sequence",
            dataset="tones",
        ),
        _spec(
            "unet",
            build_unet,
            (1, 32, 32),
            "segmentation, up by transposed convolutions, 29k parameters",
            SEGMENTATION,
        ),
        _spec(
            "unet_upsampling",
            build_unet_upsampling,
            (1, 32, 32),
            "segmentation, up by repeated pixels and convolutions, 32k parameters",
            SEGMENTATION,
        ),
        _spec("vgg11", build_vgg11, (3, 32, 32), "VGG-11, 9.2M parameters", preset="large"),
        _spec(
            "vgg16",
            build_vgg16,
            (3, 224, 224),
            "VGG-16, 134M parameters with ten classes",
            preset="large",
        ),
        _spec(
            "resnet18", build_resnet18, (3, 224, 224), "ResNet-18, 11.2M parameters", preset="large"
        ),
        _spec(
            "resnet34", build_resnet34, (3, 224, 224), "ResNet-34, 21.3M parameters", preset="large"
        ),
        _spec(
            "tiny_yolo",
            build_tiny_yolo,
            (3, 112, 112),
            "detector built like tiny_vgg, 7 x 7 cells, 1.3M parameters",
            DETECTION,
        ),
        _spec(
            "tiny_yolo_backbone",
            build_tiny_yolo_backbone,
            (3, 112, 112),
            "classifier of tiny_yolo's layers, for pretraining, 1.3M parameters",
        ),
        _spec(
            "yolo_resnet34",
            build_yolo_resnet34,
            (3, 224, 224),
            "detector on ResNet-34, 7 x 7 cells, 23.7M parameters",
            DETECTION,
            preset="large",
        ),
    )
}


def get_model(name: str) -> ModelSpec:
    """The :class:`ModelSpec` of a registered name. Raises :exc:`ModelError` for another name."""
    try:
        return MODELS[name]
    except KeyError:
        raise ModelError(
            f"model: must be one of {', '.join(MODELS)}; {name!r} came; choose one of "
            f"them, a file.py:function or a .pt2 archive{did_you_mean(name, MODELS)}"
        ) from None
