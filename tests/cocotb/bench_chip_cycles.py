# SPDX-License-Identifier: Apache-2.0
"""cocotb bench that records when the nodes of a chip end their samples."""

import json
from pathlib import Path

import cocotb

from stemcore.testing import seeded
from tests.support.chip_programs import four_core_case
from tests.support.cocotb_host import started_host

CASES = (0, 1)  # networks, as four_core_case numbers them
LIMIT = 100_000  # cycles that a run may take


@cocotb.test(timeout_time=4000, timeout_unit="us")
@cocotb.parametrize(n=CASES)
async def cycles_of_every_end(dut, n):
    """Writes cycles-N.json, which test_chip.py compares with the native engine."""
    _, program, images = four_core_case(n)
    host = await started_host(dut, seeded("cycles"), program, images, "free/free")
    await host.run(LIMIT)
    host.stop()
    ends = {f"{x} {y}": core.end_cycles for (x, y), core in host.cores.items()}
    cycles = {"start": host.start_cycles, "end": host.end_cycles, "nodes": ends}
    Path(f"cycles-{n}.json").write_text(json.dumps(cycles))
