# SPDX-License-Identifier: Apache-2.0
"""The exported router, alone, under an HDL simulator."""

import pytest

from stemcore.golden.spec.fields import Formats
from stemcore.golden.spec.presets import get_preset
from stemcore.hdl.export import component_verilog
from stemcore.hdl.noc.router import Router
from tests.support.cocotb_runs import bench, simulators

PARAMS = get_preset("tiny")


@pytest.mark.sim
@pytest.mark.slow
@pytest.mark.parametrize("simulator", simulators("icarus", "verilator"))
def test_router_matches_golden_routes(simulator):
    passed = bench(
        simulator,
        "router",
        {"router.v": component_verilog(Router(params=PARAMS), name="router")},
        parameters={"WIDTH": Formats(PARAMS).flit.width, "COORD_WIDTH": PARAMS.coord_width},
    )
    assert len(passed) == 17
