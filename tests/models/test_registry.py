# SPDX-License-Identifier: Apache-2.0
"""The registered networks: sizes, layers, and the error for an unknown name."""

import pytest
import torch
from torch import nn

from models.data import DATASETS
from models.errors import ModelError
from models.registry import MODELS, get_model

PARAMETERS = {"digits_cnn": 12_266, "tiny_vgg": 808_170, "tiny_vgg_12m": 12_026_922,
              "cifar10net": 36_721_484, "cifar10net_w64": 1_262_348, "resnet18_cifar": 701_466}
LAYERS = (nn.Sequential, nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.MaxPool2d, nn.AvgPool2d,
          nn.Flatten, nn.Linear)


def test_every_model_has_its_recorded_size():
    assert {spec.name: sum(p.numel() for p in spec.build().parameters())
            for spec in MODELS.values()} == PARAMETERS


@pytest.mark.parametrize("name", ["digits_cnn", "tiny_vgg"])
def test_model_keeps_its_contract(name):
    spec = get_model(name)
    module = spec.build().eval()
    kinds = {type(part) for part in module.modules()} - {type(module)}
    assert kinds <= set(LAYERS)
    assert spec.default_dataset in DATASETS
    with torch.no_grad():
        assert module(torch.zeros(2, *spec.input_shape)).shape == (2, spec.n_classes)


@pytest.mark.parametrize("name", ["tiny_vgg", "tiny_vgg_12m"])
def test_vgg_channels_fill_memory_words(name):
    widths = [part.out_channels for part in get_model(name).build().modules()
              if isinstance(part, nn.Conv2d)]
    assert widths
    assert all(width % 32 == 0 for width in widths)


def test_get_model_refuses_unknown_names():
    with pytest.raises(ModelError, match=r"^model: must be one of digits_cnn, tiny_vgg, "
                                         r".*; 'alexnet' came; choose"):
        get_model("alexnet")
