# SPDX-License-Identifier: Apache-2.0
"""A whole chip behind AXI, clocks of its own: programs run as golden says."""

import numpy as np
import pytest

from stemcore.golden.program.program_file import save_program
from stemcore.hdl.export import chip_verilog
from stemcore.hdl.host.export import axi_host_verilog
from stemcore.testing import BenchOptions, run_bench
from tests.support.chip_programs import four_core_case
from tests.support.cocotb_runs import BENCHES, OUT, exported_node, simulators

pytestmark = [pytest.mark.sim, pytest.mark.slow]


def run(simulator, program, images, *, register_width, stream_width, chip_half, stalls):
    folder = OUT / f"axi_chip-{program.name}-{stream_width}"
    saved = folder / "program"
    save_program(program, saved)
    np.save(saved / "images.npy", images)
    size = {"columns": program.columns, "rows": program.rows}
    widths = {"register_width": register_width, "stream_width": stream_width}
    texts = {
        "node.v": exported_node(program.params),
        "chip.v": chip_verilog(program.params, **size),
        "axi_chip.v": axi_host_verilog(program.params, **size, **widths),
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    return run_bench(
        simulator,
        [BENCHES / "axi_host_bench.v", *(folder / name for name in texts)],
        top="axi_host_bench",
        test_module="tests.cocotb.bench_axi_chip",
        out_dir=folder,
        parameters={
            "REGISTER": register_width,
            "STREAM": stream_width,
            "CHIP_HALF": chip_half,
        },
        options=BenchOptions(
            public=[BENCHES / "axi_host.vlt"],
            env={"AXI_PROGRAM": str(saved), "AXI_STALLS": ",".join(stalls)},
        ),
    )


@pytest.mark.parametrize("simulator", simulators("icarus"))
@pytest.mark.parametrize(("stream_width", "chip_half"), [(32, 3700), (64, 13300)])
def test_random_network_through_axi(simulator, stream_width, chip_half):
    _, program, images = four_core_case(0)
    passed = run(
        simulator,
        program,
        images[:2],
        register_width=96 - stream_width,
        stream_width=stream_width,
        chip_half=chip_half,
        stalls=["free/free", "half/third"],
    )
    assert len(passed) == 2
