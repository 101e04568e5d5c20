# SPDX-License-Identifier: Apache-2.0
"""LIF neurons against a plain loop, their gradient against the chain rule; codes; the network."""

import math

import numpy as np
import pytest
import torch

from stemcore.models.cifar10net import VOTERS, LifCifar10Net
from stemcore.models.data.preprocess import to_float_input
from stemcore.models.lif import LIF, Fire, direct_code, position_code
from stemcore.models.registry import MODELS


def plain_neuron(drives):
    """Spikes and potentials (before the reset) of one neuron, on Python floats."""
    v, spikes, potentials = 0.0, [], []
    for x in drives:
        h = v / 2 + x
        s = 1.0 if h >= 1 else 0.0
        v = h * (1 - s)
        spikes.append(s)
        potentials.append(h)
    return spikes, potentials


@pytest.mark.parametrize("steps", [1, 2, 8])
def test_lif_matches_a_plain_neuron(rng, steps):
    # Sixteenths, halved at most eight times: exact in float32.
    drive = rng.integers(-24, 25, (steps, 3, 4)) / 16
    got = LIF(steps)(torch.tensor(drive, dtype=torch.float32).flatten(0, 1))
    want = np.empty_like(drive)
    for n, c in np.ndindex(3, 4):
        want[:, n, c] = plain_neuron(drive[:, n, c])[0]
    assert np.array_equal(got.numpy(), want.reshape(-1, 4))
    assert 0 < want.sum() < want.size


@pytest.mark.parametrize(
    ("drives", "spikes"),
    [
        ((1.0, 0.0, 1.0), (1, 0, 1)),  # the threshold itself fires
        ((0.96875, 0.5, 0.0), (0, 0, 0)),  # half of the potential leaks away
        ((0.5, 0.75, 0.0), (0, 1, 0)),
        ((100.0, 0.96875, 0.0), (1, 0, 0)),  # what is above the threshold is lost
        ((-8.0, 4.0, 1.0), (0, 0, 1)),
    ],
)  # nothing holds a potential at zero
def test_lif_corners(drives, spikes):
    got = LIF(3)(torch.tensor(drives)[:, None])
    assert got.flatten().tolist() == list(spikes)


def test_surrogate_gradient_is_the_slope_of_an_arctangent():
    x = torch.linspace(-4, 4, 161, dtype=torch.float64, requires_grad=True)
    Fire.apply(x).sum().backward()
    smooth = torch.linspace(-4, 4, 161, dtype=torch.float64, requires_grad=True)
    (torch.arctan(math.pi * smooth) / math.pi + 0.5).sum().backward()
    assert torch.allclose(x.grad, smooth.grad, rtol=1e-12)
    assert x.grad.argmax() == 80
    assert float(x.grad[80]) == pytest.approx(1.0)
    assert torch.allclose(x.grad, x.grad.flip(0), rtol=1e-9)


def test_gradient_flows_back_through_time_and_stops_at_a_reset(rng):
    drives = rng.integers(-16, 33, 8) / 16
    x = torch.tensor(drives, requires_grad=True)
    weights = torch.tensor(rng.normal(size=8))
    (LIF(8)(x[:, None]).flatten() * weights).sum().backward()
    spikes, potentials = plain_neuron(drives)
    assert 0 < sum(spikes) < 8
    want, later = [0.0] * 8, 0.0
    for t in reversed(range(8)):
        slope = 1 / (1 + (math.pi * (potentials[t] - 1)) ** 2)
        want[t] = float(weights[t]) * slope + later * (1 - spikes[t])
        later = want[t] / 2
    assert x.grad.tolist() == pytest.approx(want, rel=1e-12)


def test_direct_code_repeats_the_image(rng):
    images = torch.tensor(rng.normal(size=(2, 3, 4, 5)))
    coded = direct_code(images, 3)
    assert torch.equal(coded, torch.cat([images, images, images]))


@pytest.mark.parametrize("steps", [4, 8])
def test_position_code_fires_once_and_bright_pixels_first(steps):
    levels = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    coded = position_code(to_float_input(levels), steps).reshape(steps, 256)
    assert torch.equal(coded.sum(0), torch.ones(256))
    when = coded.argmax(0).tolist()
    # The smallest byte is clipped to the next one, in the same interval.
    assert when == [steps - 1 - u // (256 // steps) for u in range(256)]


def step_by_step(net, images):
    """Spikes of the last LIF layer (T, N, C), one time step after the other."""
    potentials, spikes = {}, []
    for t in range(net.steps):
        x = net.code(images, net.steps).unflatten(0, (net.steps, -1))[t]
        for i, part in enumerate(net.layers[:-1]):
            if isinstance(part, LIF):
                h = x + potentials.get(i, torch.zeros_like(x)) / 2
                x = (h >= 1).float()
                potentials[i] = torch.where(h >= 1, 0.0, h)
            else:
                x = part(x)
        spikes.append(x)
    return torch.stack(spikes)


@pytest.mark.parametrize("code", [direct_code, position_code])
def test_network_equals_its_layers_run_step_by_step(rng, code):
    torch.manual_seed(0)
    net = LifCifar10Net(code, steps=4, width=4, hidden=6, n_classes=2).eval()
    with torch.no_grad():
        for part in net.layers:
            if isinstance(part, torch.nn.BatchNorm2d):
                part.eps = 0.0
            elif isinstance(part, torch.nn.Conv2d | torch.nn.Linear) and part is not net.layers[-1]:
                # Eighths: sums are exact in whatever order.
                part.weight.copy_(torch.tensor(rng.integers(-8, 13, part.weight.shape) / 8))
                if part.bias is not None:
                    part.bias.copy_(torch.tensor(rng.integers(-4, 5, part.bias.shape) / 8))
        images = to_float_input(rng.integers(0, 256, (3, 3, 32, 32), np.uint8))
        seen = []
        net.layers[-2].register_forward_hook(lambda _, __, out: seen.append(out))
        output = net(images)
        want = step_by_step(net, images)
    assert torch.equal(seen[0].unflatten(0, (4, 3)), want)
    assert 0 < want.sum() < want.numel()
    votes = want.sum(0).unflatten(1, (2, VOTERS)).sum(2) / VOTERS
    assert torch.allclose(output, votes, rtol=1e-6)


def test_every_lif_network_has_its_relu_model():
    pairs = {spec.name: spec.relu_model for spec in MODELS.values() if spec.relu_model}
    assert len(pairs) == 4
    for name, relu_model in pairs.items():
        tensors, of_relu = (
            {key: tuple(tensor.shape) for key, tensor in MODELS[n].build().state_dict().items()}
            for n in (name, relu_model)
        )
        assert tensors == of_relu
        assert name.removeprefix(f"{relu_model}_") in ("direct", "position")
