# SPDX-License-Identifier: Apache-2.0
"""The registered networks: sizes, layers, and the error for an unknown name."""

import pytest
import torch
from torch import nn

from stemcore.models.cifar10net import Vote
from stemcore.models.data import DATASETS, DETECTION, SEGMENTATION
from stemcore.models.errors import ModelError
from stemcore.models.lif import LIF
from stemcore.models.registry import MODELS, VALUES, get_model

PARAMETERS = {
    "digits_cnn": 12_266,
    "tiny_vgg": 808_170,
    "tiny_vgg_sparse": 808_170,
    "tiny_vgg_12m": 12_026_922,
    "vgg7": 1_972_792,
    "resnet10": 2_489_656,
    "resnet10_sparse": 2_489_656,
    "cifar10net": 36_721_484,
    "cifar10net_w64": 1_262_348,
    "resnet18_cifar": 701_466,
    "cifar10net_w64_direct": 1_262_348,
    "cifar10net_w64_position": 1_262_348,
    "cifar10net_w16": 157_244,
    "cifar10net_w16_direct": 157_244,
    "cifar10net_w16_position": 157_244,
    "lenet5": 61_750,
    "resnet8": 78_186,
    "ds_cnn": 23_626,
    "mobilenet_v1_quarter": 218_378,
    "deep_autoencoder": 267_928,
    "audio_cnn": 12_584,
    "unet": 29_508,
    "unet_upsampling": 32_708,
    "vgg11": 9_228_362,
    "vgg16": 134_301_514,
    "resnet18": 11_181_642,
    "resnet34": 21_289_802,
    "tiny_yolo": 1_279_924,
    "tiny_yolo_backbone": 1_277_354,
    "yolo_resnet34": 23_655_252,
}
LAYERS = (
    nn.Conv2d,
    nn.BatchNorm2d,
    nn.ReLU,
    nn.MaxPool2d,
    nn.AvgPool2d,
    nn.Flatten,
    nn.Linear,
    nn.Identity,
    Vote,
    LIF,
)


@pytest.mark.medium
def test_every_model_has_its_recorded_size():
    # Shapes without contents: the larger networks would fill gigabytes.
    with torch.device("meta"):
        sizes = {
            spec.name: sum(p.numel() for p in spec.build().parameters()) for spec in MODELS.values()
        }
    assert sizes == PARAMETERS


@pytest.mark.parametrize(
    "name",
    [
        "digits_cnn",
        "tiny_vgg",
        "cifar10net_w64",
        "resnet18_cifar",
        "cifar10net_w16_direct",
        "cifar10net_w16_position",
    ],
)
def test_model_keeps_its_contract(name):
    spec = get_model(name)
    module = spec.build().eval()
    kinds = {type(part) for part in module.modules() if not list(part.children())}
    assert kinds <= set(LAYERS)
    assert (LIF in kinds) == bool(spec.relu_model)
    assert spec.default_dataset in DATASETS
    with torch.no_grad():
        assert module(torch.zeros(2, *spec.input_shape)).shape == (2, spec.n_classes)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("n_classes", [3, 20])
def test_outputs_follow_the_classes_of_the_data(name, n_classes):
    spec = get_model(name)
    with torch.device("meta"), torch.no_grad():
        output = spec.build(n_classes=n_classes).eval()(torch.zeros(1, *spec.input_shape))
    if spec.task == DETECTION:
        assert output.shape == (1, 10 + n_classes, 7, 7)
    elif spec.task == SEGMENTATION:
        assert output.shape == (1, n_classes, *spec.input_shape[1:])
    elif spec.outputs == VALUES:
        assert output.shape == (1, 640)
    else:
        assert output.shape == (1, n_classes)


def test_votes_are_averages_of_ten():
    module = get_model("cifar10net_w64").build().eval()
    vote = module.layers[-1]
    assert not vote.weight.requires_grad
    x = torch.arange(100.0)[None]
    assert torch.allclose(vote(x), torch.arange(10.0)[None] * 10 + 4.5)


@pytest.mark.parametrize(
    ("model", "dataset", "needs"),
    [
        ("tiny_yolo", "cifar10", r"images with boxes \(digit_boxes, voc\)"),
        ("unet", "digits", r"images with a class for each pixel \(shapes\)"),
        ("tiny_vgg", "voc", r"images with one label each \(digits, cifar10, .*\)"),
    ],
)
def test_models_refuse_data_of_another_task(model, dataset, needs):
    with pytest.raises(ModelError, match=rf"^{model}: needs {needs}; '{dataset}' came; choose"):
        get_model(model).check_task(dataset)


def test_networks_whose_outputs_are_values_are_not_trained_on_labels():
    get_model("resnet8").check_trains()
    with pytest.raises(ModelError, match=r"^deep_autoencoder: training needs .* values came"):
        get_model("deep_autoencoder").check_trains()


@pytest.mark.parametrize("name", MODELS)
def test_networks_of_lif_neurons_alone_do_not_compile(name):
    spec = get_model(name)
    if not spec.relu_model:
        assert spec.check_compiles() is None
        return
    get_model(spec.relu_model).check_compiles()
    with pytest.raises(
        ModelError,
        match=rf"^{name}: the compiler needs ReLU; LIF neurons came, "
        rf".*; choose MODEL={spec.relu_model}, the same layers",
    ):
        spec.check_compiles()


@pytest.mark.parametrize("name", ["tiny_vgg", "tiny_vgg_12m"])
def test_vgg_channels_fill_memory_words(name):
    widths = [
        part.out_channels
        for part in get_model(name).build().modules()
        if isinstance(part, nn.Conv2d)
    ]
    assert widths
    assert all(width % 32 == 0 for width in widths)


def test_get_model_refuses_unknown_names():
    with pytest.raises(
        ModelError,
        match=r"^model: must be one of digits_cnn, lenet5, "
        r".*; 'alexnet' came; choose",
    ):
        get_model("alexnet")
