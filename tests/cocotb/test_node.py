# SPDX-License-Identifier: Apache-2.0
"""The exported node, alone, under an HDL simulator."""

import pytest

from stemcore.golden.spec.fields import Formats
from stemcore.golden.spec.presets import get_preset
from tests.support.cocotb_runs import bench, exported_node, simulators

PARAMS = get_preset("tiny")


@pytest.mark.sim
@pytest.mark.slow
@pytest.mark.parametrize("simulator", simulators("icarus"))
def test_node_matches_golden(simulator):
    passed = bench(
        simulator,
        "node",
        {"node.v": exported_node(PARAMS)},
        parameters={"WIDTH": Formats(PARAMS).flit.width, "COORD_WIDTH": PARAMS.coord_width},
    )
    assert len(passed) == 28
