# SPDX-License-Identifier: Apache-2.0
"""The compiler's cycle formulas are those of the gateware."""

import pytest

from compiler.timing import SOMA_LATENCY, sweep_cycles
from golden.params import get_preset
from hdl.core.requantize import latency


@pytest.mark.parametrize("multipliers", [True, False])
def test_sweep_takes_what_the_soma_takes(multipliers):
    params = get_preset("tiny").with_(multipliers=multipliers)
    assert SOMA_LATENCY[multipliers] == latency(params)
    # The soma's own tests hold this formula against its cycles.
    assert sweep_cycles(params, 7) == 7 * params.n_groups + latency(params) + 5
