# SPDX-License-Identifier: Apache-2.0
"""What is measured of networks of torchvision, on networks that need none of it."""

import numpy as np
import pytest
from torch import nn

from stemcore.benchmarks import torchvision_networks
from stemcore.benchmarks.torchvision_networks import ON_GATEWARE, estimates, on_gateware
from stemcore.compiler.errors import PartitionError
from stemcore.runtime.engines import compare


class Gated(nn.Module):
    """A product of two computed tensors, which the chip has not."""

    def forward(self, x):
        return x * x.mean((2, 3), keepdim=True)


def small(name):
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10)]
    gate = [Gated()] if name == "gated" else []
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), *gate, *head).eval()


@pytest.fixture(autouse=True)
def small_networks(monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (4, 3, 12, 12)).astype(np.uint8)
    monkeypatch.setattr(torchvision_networks, "build", small)
    monkeypatch.setattr(torchvision_networks, "pictures", lambda name: images)


@pytest.mark.medium
def test_networks_are_estimated_or_refused_with_their_reason():
    checked, placed, refused = estimates(("plain", "gated"))
    assert checked.name == "plain: capture, check"
    assert "cores of sim32, " in placed.note
    assert refused.name == "gated: refused"
    assert "multiplies two computed tensors" in refused.note


@pytest.mark.medium
def test_a_network_that_no_chip_holds_is_refused_and_the_next_one_estimated(monkeypatch):
    def compile(module, **options):
        if "stop" not in options and options["name"] == "deep":
            raise PartitionError("deep", "needs at least 12246 cores")
        return right(module, **options)

    right = torchvision_networks.compiled.compile
    monkeypatch.setattr(torchvision_networks.compiled, "compile", compile)
    names = [figure.name for figure in estimates(("deep", "plain"))]
    after = "plain: capture, check", "plain: all stages and the estimate"
    assert names == ["deep: capture, check", "deep: refused", *after]


@pytest.mark.sim
def test_a_picture_on_the_gateware_is_compared_and_timed():
    cycles, seconds = on_gateware(("plain",))
    assert cycles.value > 1000 and "spikes equal; estimated" in cycles.note
    assert seconds.value > 0


@pytest.mark.sim
def test_an_integer_that_torch_has_otherwise_ends_the_measurement(monkeypatch):
    def wrong(quantized, images):
        values = dict(right(quantized, images))
        name = list(values)[-1]
        values[name] = values[name] + 1
        return values

    right = torchvision_networks.torch_values
    monkeypatch.setattr(torchvision_networks, "torch_values", wrong)
    with pytest.raises(compare.Difference, match="torch"):
        list(on_gateware(("plain",)))


def test_networks_on_the_gateware_are_among_all():
    assert set(ON_GATEWARE) < set(torchvision_networks.NETWORKS)
