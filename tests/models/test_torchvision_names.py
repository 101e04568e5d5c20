# SPDX-License-Identifier: Apache-2.0
"""State dicts of torchvision load into the registered networks of the same name."""

import pytest
import torch
from safetensors.torch import save_file

from stemcore.models.errors import CheckpointError
from stemcore.models.plain_weights import load_tensors
from stemcore.models.registry import MODELS
from stemcore.models.torchvision_names import MODULES, torchvision_state

# Of torchvision's published state dicts, with 1,000 classes.
SHAPES = {
    "resnet18": {
        "conv1.weight": (64, 3, 7, 7),
        "bn1.running_var": (64,),
        "layer1.1.conv2.weight": (64, 64, 3, 3),
        "layer2.0.downsample.0.weight": (128, 64, 1, 1),
        "layer2.0.downsample.1.bias": (128,),
        "layer4.1.bn2.weight": (512,),
        "fc.weight": (1000, 512),
    },
    "resnet34": {
        "layer1.2.conv1.weight": (64, 64, 3, 3),
        "layer3.5.bn2.running_mean": (256,),
        "layer4.0.downsample.0.weight": (512, 256, 1, 1),
        "layer4.2.conv2.weight": (512, 512, 3, 3),
        "fc.bias": (1000,),
    },
    "vgg16": {
        "features.0.weight": (64, 3, 3, 3),
        "features.28.weight": (512, 512, 3, 3),
        "classifier.0.weight": (4096, 25088),
        "classifier.3.bias": (4096,),
        "classifier.6.weight": (1000, 4096),
    },
}
SIZES = {"resnet18": 122, "resnet34": 218, "vgg16": 32}  # tensors


def theirs(model):
    """The tensors of our network under torchvision's names, on no memory."""
    with torch.device("meta"):
        module = MODELS[model].build(n_classes=1000)
    names = {ours: other for other, ours in MODULES[model].items()}
    state = {}
    for name, tensor in module.state_dict().items():
        ours, _, last = name.rpartition(".")
        state[f"{names[ours]}.{last}"] = tensor
    return state


@pytest.mark.parametrize("model", SHAPES)
def test_every_tensor_has_torchvisions_name_and_shape(model):
    state = theirs(model)
    assert len(state) == SIZES[model]
    assert {name: tuple(state[name].shape) for name in SHAPES[model]} == SHAPES[model]


@pytest.fixture
def small(monkeypatch):
    """A residual network of the registered one's structure, eight times narrower."""
    from stemcore.models.resnet import BLOCKS_18, ResNet, imagenet_stem

    torch.manual_seed(0)
    return ResNet(imagenet_stem(8), BLOCKS_18, 8, final_size=1, n_classes=5).eval()


def saved(module, path, left_out=()):
    names = {ours: other for other, ours in MODULES["resnet18"].items()}
    state = {}
    for name, tensor in module.state_dict().items():
        ours, _, last = name.rpartition(".")
        state[f"{names[ours]}.{last}"] = tensor.clone()
    save_file({k: v for k, v in state.items() if k not in left_out}, path)


def test_weights_arrive_where_they_belong(small, tmp_path):
    from stemcore.models.resnet import BLOCKS_18, ResNet, imagenet_stem

    path = tmp_path / "w.safetensors"
    with torch.no_grad():
        for tensor in small.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(torch.rand_like(tensor) + 0.1)
    saved(small, path)
    other = ResNet(imagenet_stem(8), BLOCKS_18, 8, final_size=1, n_classes=5).eval()
    assert torchvision_state(path, "tiny_vgg") is None
    assert torchvision_state(path, "vgg16") is None
    load_tensors(other, torchvision_state(path, "resnet18"), path.name)
    own = other.state_dict()
    assert all(torch.equal(own[name], tensor) for name, tensor in small.state_dict().items())


def test_a_missing_tensor_is_named(small, tmp_path):
    path = tmp_path / "w.safetensors"
    saved(small, path, left_out=("layer3.0.conv1.weight",))
    with pytest.raises(CheckpointError, match=r"w.safetensors: .*stages.4.body.0.weight"):
        load_tensors(small, torchvision_state(path, "resnet18"), path.name)
