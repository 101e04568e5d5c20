# SPDX-License-Identifier: Apache-2.0
"""Networks with fan-ins split over cores, on the compiled gateware: every spike, every counter."""

import numpy as np
import pytest

from stemcore.compiler.mapping.split import split_layers
from stemcore.compiler.pipeline import compile_network
from stemcore.folders import engines
from stemcore.golden.network.forward import run_network
from stemcore.runtime.engines.compare import compare_values, populations_of, sent_values
from stemcore.runtime.engines.run import run_engine
from tests.support.random_networks import random_images
from tests.support.split_networks import NARROW, SPLIT_SEEDS, splitting_network

pytestmark = [pytest.mark.sim, pytest.mark.slow]


# Digits through several weights, and trees of sums.
PRESETS = {"narrow": NARROW, "tight": NARROW.with_(shift_width=4, n_axons=6)}


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("seed", SPLIT_SEEDS)
def test_split_network_runs_exactly_on_the_gateware(seed, preset):
    params = PRESETS[preset]
    rng, network = splitting_network(seed)
    split = split_layers(network, params)
    program = compile_network(split, params)
    images = random_images(rng, network, 2)
    expected = run_network(network, images)
    all_expected = run_network(split, images)
    model = run_engine("program", program, images)
    compare_values(populations_of(program), all_expected, model.values, names=("golden", "program"))
    rtl = run_engine("verilator", program, images, out_dir=engines())
    sent = sent_values(program, all_expected)
    compare_values(populations_of(program), sent, rtl.values, names=("golden", "RTL"))
    np.testing.assert_array_equal(rtl.outputs, expected[program.output])
    for node, counters in model.counters.items():
        assert {name: rtl.counters[node][name] for name in counters} == counters, node
        assert not (program.overflow_proved and rtl.counters[node]["overflow"]), node
