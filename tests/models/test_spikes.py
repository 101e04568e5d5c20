# SPDX-License-Identifier: Apache-2.0
"""The penalty on spikes: its value, its gradient, and that training with it saves spikes."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from stemcore.models.data import load_dataset
from stemcore.models.recipes import get_recipe
from stemcore.models.registry import get_model
from stemcore.models.spikes import SpikeMeter, expected_ones
from stemcore.models.trainer import new_state, train_epoch


def test_the_surrogate_is_close_to_the_mean_of_ones_over_smaller_integers():
    for top in (15, 63, 255):
        ones = np.bitwise_count(np.arange(top + 1)).mean()
        found = expected_ones(torch.tensor([float(top)]), top)
        assert float(found) == pytest.approx(ones, abs=1e-6)


def test_the_surrogate_rises_and_has_a_gradient_down():
    x = torch.tensor([0.0, 0.1, 0.5, 1.0], requires_grad=True)
    expected_ones(x).backward()
    assert (x.grad > 0).all()
    # Small activations gain most from becoming smaller: their relative change is the largest.
    assert (x.grad[:-1] > x.grad[1:]).all()
    assert float(expected_ones(torch.zeros(3))) == 0.0
    assert float(expected_ones(torch.tensor([-1.0, -2.0]))) == 0.0


def test_the_meter_weighs_layers_by_their_multiply_accumulates():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(2, 3, 2, stride=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(12, 5),
    )
    x = torch.rand(3, 1, 4, 4)
    with SpikeMeter(net) as meter:
        net(x)
        found = meter.take()
        assert meter.take() == 0.0
    first = net[1](net[0](x))
    second = net[4](net[3](net[2](first)))
    macs = (3 * 2 * 4 * 4, 5 * 12)
    expected = (macs[0] * expected_ones(first) + macs[1] * expected_ones(second)) / sum(macs)
    assert float(found.detach()) == pytest.approx(float(expected.detach()), rel=1e-6)
    assert not any(part._forward_hooks for part in net.modules())


@pytest.mark.medium
def test_training_with_the_penalty_expects_fewer_operations():
    data = load_dataset("digits", (1, 8, 8), n_train=256, n_test=1)
    recipe = dataclasses.replace(get_recipe("digits_cnn", "digits"), epochs=3)
    expected = {}
    for penalty in (0.0, 0.5):
        state = new_state(get_model("digits_cnn").build, 0)
        for _ in range(recipe.epochs):
            train_epoch(state, data, recipe, 0, spike_penalty=penalty)
        images = torch.from_numpy(data.train_images).float() / 128 - 1
        with SpikeMeter(state.module.eval()) as meter:
            state.module(images)
            expected[penalty] = float(meter.take().detach())
    assert expected[0.5] < 0.9 * expected[0.0]
