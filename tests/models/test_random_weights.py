# SPDX-License-Identifier: Apache-2.0
"""Random weights at the scale of the data."""

import pytest
import torch

from stemcore.models.cifar10net import Cifar10Net, Vote
from stemcore.models.data import load_dataset, to_float_input
from stemcore.models.random_weights import calibrate_random
from stemcore.models.registry import get_model


@pytest.mark.medium
def test_the_same_seed_gives_the_same_weights():
    images = load_dataset("digits", (3, 32, 32), n_train=16, n_test=0).train_images
    states = []
    for seed in (0, 0, 1):
        module = get_model("resnet18_cifar").build()
        calibrate_random(module, images, seed)
        assert not module.training
        states.append(module.state_dict())
    for name, tensor in states[0].items():
        assert torch.equal(tensor, states[1][name]), name
    assert not torch.equal(states[0]["head.2.weight"], states[2]["head.2.weight"])


@pytest.mark.medium
@pytest.mark.parametrize("name", ["tiny_vgg", "resnet18_cifar", "cifar10net_w64"])
def test_activations_keep_the_scale_of_the_data(name):
    images = load_dataset("digits", (3, 32, 32), n_train=32, n_test=0).train_images
    module = get_model(name).build()
    calibrate_random(module, images)
    seen = []
    for part in module.modules():
        if isinstance(part, torch.nn.ReLU):
            part.register_forward_hook(lambda _, __, out: seen.append(out.std().item()))
    with torch.no_grad():
        module(to_float_input(images))
    assert min(seen) > 0.05
    assert max(seen) < 20


def test_what_is_not_trained_keeps_its_values():
    module = Cifar10Net(width=8, hidden=16)
    images = load_dataset("digits", (3, 32, 32), n_train=8, n_test=0).train_images
    calibrate_random(module, images)
    assert torch.equal(module.layers[-1].weight, Vote(10).weight)
