# SPDX-License-Identifier: Apache-2.0
"""The last tests of a bench with probes: they leave what the probes have counted."""

import os
from pathlib import Path

import cocotb

from tests.coverage.goals import PROBES, probe_bins, write_samples


def probes(dut):
    """Handles of the bench's probes, by the goal that they are for."""
    found = {}
    if hasattr(dut.dut, "core"):
        core = dut.dut.core
        found = {
            "forward": core.dendrite.loop.forward.counts,
            "overflow": core.dendrite.loop.wraps,
            "queue": core.tokens_and_queue.counts,
            "end": core.end_distance.counts,
            "pace": core.flow.pace_and_credit.counts,
        }
    else:
        found = {"turns": dut.dut.turns}
    return found


@cocotb.test(timeout_time=10, timeout_unit="us")
async def probes_are_read(dut):
    """All that the probes have counted since the simulation began."""
    counts = {
        name: probe_bins(PROBES[name], int(probe.hits.value)) for name, probe in probes(dut).items()
    }
    assert any(sum(bins.values()) for bins in counts.values()), "a probe must have seen something"
    write_samples(Path(os.environ["COVERAGE_SAMPLES"]), counts)
