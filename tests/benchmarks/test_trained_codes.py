# SPDX-License-Identifier: Apache-2.0
"""Operations of spiking torch networks against plain loops; which networks are measured."""

import numpy as np
import pytest
import torch
from torch import nn

from stemcore.benchmarks.tables.subjects import Subject
from stemcore.benchmarks.tables.trained_codes import SopMeter, measure_integration, trained_forms
from stemcore.models.lif import LIF
from stemcore.models.registry import MODELS


def spiking(steps):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        LIF(steps),
        nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2),
        nn.BatchNorm2d(6),
        LIF(steps),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 5, (2, 1), padding=(0, 1)),
        nn.BatchNorm2d(5),
        LIF(steps),
        nn.Flatten(),
        nn.Linear(20, 7),
        LIF(steps),
        nn.Linear(7, 3),
    )


def brute_force(layer, spikes):
    """Pairs of a spike and a synapse, output neuron by output neuron and tap by tap."""
    if isinstance(layer, nn.Linear):
        return int(spikes.sum()) * layer.out_features
    n_in, height, width = spikes.shape[1:]
    c_out, per_group, ky, kx = layer.weight.shape
    (sy, sx), (py, px) = layer.stride, layer.padding
    total = 0
    for o in range(c_out):
        first = o // (c_out // layer.groups) * per_group
        received = spikes[:, first : first + per_group]
        for y in range((height + 2 * py - ky) // sy + 1):
            for x in range((width + 2 * px - kx) // sx + 1):
                for dy in range(ky):
                    for dx in range(kx):
                        row, column = y * sy + dy - py, x * sx + dx - px
                        if 0 <= row < height and 0 <= column < width:
                            total += int(received[:, :, row, column].sum())
    assert n_in == per_group * layer.groups
    return total


def test_operations_are_pairs_of_spike_and_synapse(rng):
    net = spiking(steps=4)
    received = {}
    for name in ("3", "7", "11"):
        net[int(name)].register_forward_hook(
            lambda _, inputs, __, name=name: received.update({name: inputs[0].detach().numpy()})
        )
    batches = [torch.tensor(rng.normal(size=(4 * n, 2, 8, 7)) * 3).float() for n in (2, 1)]
    want = dict.fromkeys(received, 0)
    with SopMeter(net) as meter:
        for batch in batches:
            net(batch)
            for name, spikes in received.items():
                want[name] = want.get(name, 0) + brute_force(net[int(name)], spikes)
    assert meter.sops == want
    assert list(meter.sops) == ["3", "7", "11"]
    assert min(want.values()) > 0
    net[3]._forward_hooks.clear()
    before = dict(meter.sops)
    net(batches[0])
    assert meter.sops == before


def test_what_is_no_spike_is_not_counted():
    net = nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU(), nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 1))
    nn.init.constant_(net[0].weight, 0.5)
    nn.init.constant_(net[0].bias, 0.0)
    with (
        SopMeter(net),
        pytest.raises(
            ValueError,
            match=(
                r"^2: must receive spikes, 0 or 1, to count operations; values from "
                r"0\.5 to 0\.5 came; "
                r"put a spiking layer before it$"
            ),
        ),
    ):
        net(torch.ones(1, 1, 2, 2))


@pytest.mark.parametrize(
    ("form", "came"),
    [
        ({"padding": "same"}, r"'same' and \(1, 1\)"),
        ({"dilation": 2}, r"\(0, 0\) and \(2, 2\)"),
    ],
)
def test_forms_that_the_count_does_not_know_are_refused(form, came):
    net = nn.Sequential(nn.Conv2d(1, 1, 1), LIF(1), nn.Conv2d(1, 1, 3, **form), nn.Flatten())
    net.append(nn.Linear(1, 1))
    with (
        SopMeter(net),
        pytest.raises(
            ValueError, match=rf"^2: padding must be numbers and dilation 1, got {came}; state"
        ),
    ):
        net(torch.ones(1, 1, 5, 5))


def test_forms_are_those_with_weights(tmp_path, monkeypatch):
    monkeypatch.setattr("stemcore.models.checkpoint.FOLDER", tmp_path)
    assert trained_forms("cifar10net_w64", "digits") == {}
    path = tmp_path / "cifar10net_w64_position-digits.safetensors"
    path.write_bytes(b"")
    (tmp_path / "cifar10net_w16_direct-digits.safetensors").write_bytes(b"")
    spec = MODELS["cifar10net_w64_position"]
    assert trained_forms("cifar10net_w64", "digits") == {"position": (spec, path)}
    assert trained_forms("cifar10net_w64", "cifar10") == {}
    assert Subject("tiny_vgg", "digits", 1).trained_codes() == {}


@pytest.mark.slow
@pytest.mark.parametrize("code", ["direct", "position"])
def test_trained_forms_know_the_digits(code):
    subject = Subject("cifar10net_w64", "digits", 40)
    spec, path = trained_forms("cifar10net_w64", "digits")[code]
    data = subject.prepared.dataset
    images, labels = data.test_images[:40], data.test_labels[:40]
    figures = measure_integration(spec, path, images, labels, data.class_names, 20)
    assert figures["score"] >= 90
    assert figures["all"]["images"] == 360
    assert figures["epochs"] == 8
    assert list(figures["sops"]) == [layer.name for layer in subject.prepared.network.layers[1:-1]]
    # At most every neuron at every step: eight times the multiply-accumulates of the hidden layers.
    assert 0 < sum(figures["sops"].values()) < 8 * subject.prepared.n_macs
    assert all(np.array(list(figures["sops"].values())) * 40 % 1 == 0)
