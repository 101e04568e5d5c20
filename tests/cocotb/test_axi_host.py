# SPDX-License-Identifier: Apache-2.0
"""The host side with AXI under HDL simulators, before an echo in the place of a chip."""

import pytest

from stemcore.golden.spec.fields import Formats
from stemcore.golden.spec.presets import get_preset
from stemcore.hdl.host.export import axi_host_verilog
from stemcore.testing import BenchOptions, run_bench
from tests.support.axi_flits import COLUMNS, ROWS
from tests.support.cocotb_runs import BENCHES, OUT, simulators

PARAMS = get_preset("tiny")
pytestmark = [pytest.mark.sim, pytest.mark.slow]
# Bits of the streams, the registers' bus having the other width, and half the chip's period in ps:
# its clock is faster than the host's (5000), nearly the same, slower, and much slower.
SIZES = {"icarus": [(64, 3700), (32, 5003), (64, 41000)], "verilator": [(32, 13300)]}
CASES = [(simulator, *size) for simulator in simulators(*SIZES) for size in SIZES[simulator]]


def run(simulator, module, stream_width, chip_half):
    register_width = 96 - stream_width
    folder = OUT / f"axi_host-{stream_width}-{chip_half}"
    folder.mkdir(parents=True, exist_ok=True)
    path, echo = folder / f"axi_chip-{simulator}.v", folder / f"echo_chip-{simulator}.v"
    sizes = {"columns": COLUMNS, "rows": ROWS}
    widths = {"register_width": register_width, "stream_width": stream_width}
    path.write_text(axi_host_verilog(PARAMS, **sizes, **widths))
    text = (BENCHES / "echo_chip.v").read_text()
    echo.write_text(text.replace("WIDTH = 8", f"WIDTH = {Formats(PARAMS).flit.width}"))
    return run_bench(
        simulator,
        [BENCHES / "axi_host_bench.v", path, echo],
        top="axi_host_bench",
        test_module=f"tests.cocotb.{module}",
        out_dir=folder,
        run_dir=folder / f"{module}-{simulator}",
        parameters={"REGISTER": register_width, "STREAM": stream_width, "CHIP_HALF": chip_half},
        options=BenchOptions(public=[BENCHES / "axi_host.vlt"]),
    )


@pytest.mark.parametrize(
    ("simulator", "stream_width", "chip_half"), [case for case in CASES if case[2] < 20000]
)
def test_registers(simulator, stream_width, chip_half):
    assert len(run(simulator, "bench_axi_registers", stream_width, chip_half)) == 13


@pytest.mark.parametrize(("simulator", "stream_width", "chip_half"), CASES)
def test_streams(simulator, stream_width, chip_half):
    assert len(run(simulator, "bench_axi_streams", stream_width, chip_half)) == 28
