# SPDX-License-Identifier: Apache-2.0
"""Cycles are known before the gateware runs: latency and interval, from the images' spikes.

Networks whose cores wait for each other's spikes in different ways. tiny_vgg without tables is in
test_sim.py.
"""

import pytest

from models.data import find_data
from models.errors import DataError
from runtime.prepare import Settings
from runtime.sim import simulate

pytestmark = [pytest.mark.sim, pytest.mark.slow]


def check(settings, n_images, rel):
    result = simulate(settings, n_images=n_images, accuracy_images=1)
    assert result.report["bit_exact"]["golden_rtl"] is True
    cycles = result.report["cycles_per_image"]
    assert cycles["estimated_interval"] == pytest.approx(cycles["interval"], rel=rel)
    assert cycles["estimated_latency"] == pytest.approx(cycles["latency"], rel=0.01)


@pytest.mark.parametrize("integration", ["exact", "late", "scaled"])
def test_small_layers_of_every_form_of_integration(integration):
    check(Settings("digits_cnn", integration=integration), n_images=4, rel=0.01)


def test_thin_bit_planes():
    check(Settings("tiny_vgg", tables="ones3"), n_images=4, rel=0.01)


def test_skips_and_their_relays():
    check(Settings("resnet18_cifar"), n_images=4, rel=0.02)


def test_natural_images():
    try:
        find_data("cifar10")
    except DataError as error:
        pytest.skip(str(error))
    check(Settings("tiny_vgg", dataset="cifar10"), n_images=4, rel=0.01)
