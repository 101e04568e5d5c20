# SPDX-License-Identifier: Apache-2.0
"""stemcore.testing on cores that are not of this project: they pass, and a fault is found."""

import itertools
import re
from pathlib import Path

import pytest

from stemcore.folders import results
from stemcore.testing import ToolError, run_bench
from tests.support.cocotb_runs import simulators

FOREIGN = Path(__file__).parent / "foreign"
pytestmark = [
    pytest.mark.sim,
    pytest.mark.slow,
    pytest.mark.parametrize("simulator", simulators("icarus", "verilator")),
]


def run(simulator, core, bench=None, *, name="sound", **options):
    bench = bench or f"bench_{core}"
    folder = results() / "cocotb" / "foreign" / core
    return run_bench(
        simulator,
        [FOREIGN / f"{core}.v"],
        top=core,
        test_module=f"tests.cocotb.foreign.{bench}",
        out_dir=folder,
        run_dir=folder / f"{name}-{simulator}",
        **options,
    )


def test_stream_component_passes(simulator):
    passed = run(simulator, "skid_buffer", parameters={"WIDTH": 16})
    assert len(passed) == 10


def test_word_that_is_dropped_under_back_pressure_is_found(simulator):
    """Wherever the receiver stalls: which item, what was wanted, what came."""
    with pytest.raises(ToolError, match=r"7 of 10 tests failed") as failed:
        run(simulator, "skid_buffer", name="faulty", parameters={"WIDTH": 16, "DROPS": 1})
    item = r"{data: 0x[0-9a-f]+, last: 0x[01]}"
    found = re.findall(
        rf"gaps=(\w+)/stalls=(\w+): failure: skid buffer, item \d+: wanted {item}, got {item}\n",
        str(failed.value),
    )
    stalling = itertools.product(("free", "half", "rare"), ("third", "rare"))
    assert sorted(found) == sorted(stalling)
    assert "reset_forgets_what_waits: failure: " in str(failed.value)


def test_registers_pass(simulator):
    assert len(run(simulator, "registers")) == 7


def test_kit_itself(simulator):
    assert len(run(simulator, "wires", "bench_kit")) == 32 + 1 + 5 + 1 + 1
