# SPDX-License-Identifier: Apache-2.0
"""The compiler's cycle formulas are those of the gateware."""

import pytest

from stemcore.golden.spec.neurons import MODELS
from stemcore.golden.spec.presets import get_preset
from stemcore.golden.spec.timing import REQUANTIZE_LATENCY, UPDATE_OVERHEAD, update_cycles


@pytest.mark.parametrize("multipliers", [True, False])
@pytest.mark.parametrize("name", MODELS)
def test_update_takes_what_the_soma_takes(name, multipliers):
    # The tests of the blocks hold their latencies, and the soma's own this formula.
    params = get_preset("tiny").with_(multipliers=multipliers).with_integration(name)
    latency = MODELS[name].update_latency(multipliers) + REQUANTIZE_LATENCY[multipliers]
    assert update_cycles(params, 7) == 7 * params.n_groups + latency + UPDATE_OVERHEAD
