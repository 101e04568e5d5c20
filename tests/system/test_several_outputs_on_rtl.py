# SPDX-License-Identifier: Apache-2.0
"""Random networks with several outputs on the gateware: spikes that the host receives, by layer.

Network i derives from (SEED, i) alone. Outputs of different depth are tested as they are, where
the host grants the earlier ones late, and with skip buffers in front of it.
"""

import os

import numpy as np
import pytest

from stemcore.compiler.lowering.integrate import integrate
from stemcore.compiler.lowering.skip_buffers import buffer_skips
from stemcore.compiler.pipeline import compile_network
from stemcore.folders import engines
from stemcore.golden.network.forward import run_network
from stemcore.golden.network.results import part
from stemcore.golden.reference.event_engine import run_events
from stemcore.golden.spec.presets import get_preset
from stemcore.runtime.engines.compare import chip_difference, first_difference
from stemcore.runtime.engines.run import run_engine
from tests.support.random_networks import (
    edge_images,
    random_images,
    random_network,
    random_stepped_network,
    with_random_outputs,
)

SEED = int(os.environ.get("SEED", "0"))


def check(network, images, params, rtl_engines=("verilator",)):
    program = compile_network(network, params)
    assert program.output_layers == network.output_layers
    expected = run_network(network, images)
    model = run_engine("program", program, images)
    assert first_difference(program, expected, model.values, ("golden", "program")) is None
    received = network.joined(expected)
    np.testing.assert_array_equal(model.outputs, received)
    shapes = {name: network.population(name).shape for name in network.output_layers}
    for name in network.output_layers:
        np.testing.assert_array_equal(part(received, shapes, name), expected[name])
    np.testing.assert_array_equal(run_events(program, images[0]).outputs, received[0])
    for engine in rtl_engines:
        rtl = run_engine(engine, program, images, out_dir=engines())
        assert chip_difference(program, expected, rtl, ("golden", engine), model) is None
        np.testing.assert_array_equal(rtl.outputs, received)


@pytest.mark.sim
@pytest.mark.slow
@pytest.mark.parametrize("number", range(8))
def test_random_outputs_are_heard_spike_by_spike(number):
    rng = np.random.default_rng((SEED, 1000 + number))
    network = with_random_outputs(rng, random_network(rng))
    images = np.concatenate([random_images(rng, network, 2), edge_images(rng, network)])
    for one in (network, buffer_skips(network)):
        check(one, images, get_preset("tiny"))


@pytest.mark.sim
@pytest.mark.slow
@pytest.mark.parametrize("mode", ["late", "scaled"])
def test_outputs_of_different_depth_keep_their_time_steps(mode):
    rng = np.random.default_rng((SEED, 2000))
    params = get_preset("tiny").with_integration(mode)
    plain = random_stepped_network(rng, mode, n_layers=2)
    exact = with_random_outputs(rng, plain)
    network = integrate(buffer_skips(exact), mode, random_images(rng, exact, 2))
    check(network, random_images(rng, network, 3), params)
