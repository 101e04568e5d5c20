# SPDX-License-Identifier: Apache-2.0
"""Cycles are known before the gateware runs: latency and interval, from the images' spikes.

Networks whose cores wait for each other's spikes in different ways. tiny_vgg without tables is in
test_sim.py.
"""

import numpy as np
import pytest

from stemcore.compiler.errors import CompileError
from stemcore.compiler.estimation.estimate import estimate_images
from stemcore.compiler.pipeline import compile_network
from stemcore.folders import engines
from stemcore.golden.spec.presets import get_preset
from stemcore.models.data import find_data
from stemcore.models.errors import DataError
from stemcore.runtime.engines.run import run_engine
from stemcore.runtime.settings import Settings
from stemcore.runtime.simulate import simulate
from tests.support.random_networks import random_images, random_network, random_stepped_network

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


def test_skips_and_their_skip_buffers():
    check(Settings("resnet18_cifar"), n_images=4, rel=0.02)


def test_natural_images():
    try:
        find_data("cifar10")
    except DataError as error:
        pytest.skip(str(error))
    check(Settings("tiny_vgg", dataset="cifar10"), n_images=4, rel=0.01)


@pytest.mark.parametrize("integration", ["exact", "late", "scaled"])
def test_random_networks_of_a_few_hundred_cycles(integration, rng):
    """Where an image takes so few, most of them are exchanges of tokens and ways through blocks.

    Single ones may be further off: the mesh is shared by all, and queues hold eight spikes.
    """
    params = get_preset("tiny").with_integration(integration)
    errors = []
    while len(errors) < 12:
        if integration == "exact":
            network = random_network(rng)
        else:
            network = random_stepped_network(rng, integration)
        try:
            program = compile_network(network, params, columns=4, rows=4)
        except CompileError:
            continue
        images = random_images(rng, network, 4)
        result = run_engine("verilator", program, images, out_dir=engines())
        interval = np.diff(result.timing.end).mean()
        errors.append(estimate_images(program, images, result.values).interval / interval - 1)
    assert np.abs(errors).mean() < 0.05, errors
