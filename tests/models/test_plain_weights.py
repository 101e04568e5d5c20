# SPDX-License-Identifier: Apache-2.0
"""Plain safetensors files for modules of the user's own."""

import pickle

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from stemcore.models.errors import CheckpointError
from stemcore.models.plain_weights import load_weights


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 2, 3)
        self.norm = nn.BatchNorm2d(2)
        self.conv2 = nn.Conv2d(2, 2, 3)
        self.tied = nn.Conv2d(2, 2, 3)
        self.tied.weight = self.conv2.weight


def state_of(module, *left_out):
    return {
        name: tensor.detach().clone()
        for name, tensor in module.state_dict().items()
        if name not in left_out
    }


@pytest.fixture
def file(tmp_path):
    """Writes tensors as a safetensors file."""

    def write(state):
        save_file(state, tmp_path / "w.safetensors")
        return tmp_path / "w.safetensors"

    return write


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.float64])
def test_weights_are_loaded_in_the_types_of_the_module(file, dtype):
    trained, module = Net(), Net()
    state = {
        name: tensor.to(dtype) if tensor.is_floating_point() else tensor
        for name, tensor in state_of(trained).items()
    }
    load_weights(module, file(state))
    for name, tensor in module.state_dict().items():
        assert tensor.dtype == trained.state_dict()[name].dtype
        assert torch.equal(tensor, state[name].to(tensor.dtype)), name


def test_tied_tensors_and_counters_may_be_missing(file):
    trained, module = Net(), Net()
    load_weights(module, file(state_of(trained, "tied.weight", "norm.num_batches_tracked")))
    assert torch.equal(module.tied.weight, trained.conv2.weight)
    load_weights(module, file(state_of(trained, "conv2.weight")))
    with pytest.raises(CheckpointError, match=r"'conv2\.weight' .*'tied\.weight' .* are missing"):
        load_weights(module, file(state_of(trained, "tied.weight", "conv2.weight")))


def renamed(old, new):
    state = state_of(Net())
    state[new] = state.pop(old)
    return state


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (
            renamed("conv1.weight", "conv_1.weight"),
            (
                r"its names must be those of the model's state_dict; 'conv1\.weight' \(nearest: "
                r"'conv_1\.weight'\) is missing, and 'conv_1\.weight' \(nearest: 'conv1\.weight'\) "
                r"is not in the model; build the model as it was trained, or rename the tensors$"
            ),
        ),
        (
            {f"module.{name}": tensor for name, tensor in state_of(Net()).items()},
            r"all of them begin with 'module\.', .*; save module\.module\.state_dict\(\) instead$",
        ),
        (
            {"xyz": torch.zeros(1)},
            r"'conv1\.bias', .* and \d+ more are missing, and 'xyz' is not in the model",
        ),
        ({}, r"are missing; build the model as it was trained"),
        (
            state_of(Net()) | {"conv1.bias": torch.zeros(3)},
            r"tensor 'conv1\.bias' must have the shape \(2,\) that the model has; \(3,\) came",
        ),
        (
            state_of(Net()) | {"conv1.bias": torch.tensor([0.0, float("nan")])},
            r"every weight must be finite; tensor 'conv1\.bias' holds NaN or infinity",
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused_and_nothing_is_loaded(file, state, message):
    module = Net()
    before = state_of(module)
    with pytest.raises(CheckpointError, match=rf"^w\.safetensors: .*{message}"):
        load_weights(module, file(state))
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_files_of_another_kind_are_refused_unread(tmp_path):
    path = tmp_path / "w.pth"
    with pytest.raises(
        CheckpointError, match=r"^w\.pth: the weight file must exist; nothing is at"
    ):
        load_weights(Net(), path)
    torch.save(Net().state_dict(), path)
    with pytest.raises(
        CheckpointError,
        match=r"^w\.pth: weights must be a safetensors file, which holds numbers and runs nothing; "
        r"its suffix is \.pth; load the weights as you are used to and save them with safetensors",
    ):
        load_weights(Net(), path)
    path = tmp_path / "w.safetensors"
    path.write_bytes(pickle.dumps(3))
    with pytest.raises(CheckpointError, match=r"^w\.safetensors: .*; reading it gave "):
        load_weights(Net(), path)
