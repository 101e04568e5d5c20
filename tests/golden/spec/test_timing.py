# SPDX-License-Identifier: Apache-2.0
"""The compiler's cycle formulas are those of the gateware."""

import pytest

from stemcore.golden.spec.params import INTEGRATIONS, get_preset
from stemcore.golden.spec.timing import NEST_SPIKES, SOMA_LATENCY, STEP_LATENCY, update_cycles
from stemcore.hdl.core.axon_in import N_ROOM
from stemcore.hdl.core.integrate import update_latency
from stemcore.hdl.core.requantize import latency


@pytest.mark.parametrize("multipliers", [True, False])
def test_update_takes_what_the_soma_takes(multipliers):
    params = get_preset("tiny").with_(multipliers=multipliers)
    assert SOMA_LATENCY[multipliers] == latency(params)
    for integration in INTEGRATIONS:
        stepped = params.with_integration(integration)
        assert STEP_LATENCY[integration, multipliers] == update_latency(stepped)
        assert update_cycles(stepped, 7) == update_cycles(params, 7) + update_latency(stepped)
    # The soma's own tests hold this formula against its cycles.
    assert update_cycles(params, 7) == 7 * params.n_groups + latency(params) + 5


def test_spikes_beyond_the_queue_are_those_of_axon_in():
    assert NEST_SPIKES == N_ROOM + 2  # the address generator has two that left their room to others
