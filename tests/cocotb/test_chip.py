# SPDX-License-Identifier: Apache-2.0
"""The exported chip, 2 x 2 nodes, under HDL simulators."""

import pytest

from golden.fields import Formats
from golden.params import get_preset
from hdl.export import chip_verilog, node_verilog
from tests.support.cocotb_runs import bench, simulators

PARAMS = get_preset("tiny")


@pytest.mark.sim
@pytest.mark.slow
@pytest.mark.parametrize("simulator", simulators("icarus"))
def test_chip_matches_golden_spike_by_spike(simulator):
    passed = bench(
        simulator,
        "chip",
        {
            "node.v": node_verilog(PARAMS),
            "chip.v": chip_verilog(PARAMS, columns=2, rows=2),
        },
        parameters={"WIDTH": Formats(PARAMS).flit.width, "NODES": 4},
    )
    assert len(passed) == 10
