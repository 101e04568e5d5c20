# SPDX-License-Identifier: Apache-2.0
"""A whole chip behind AXI, clocks of its own: programs run as golden says."""

import numpy as np
import pytest

from stemcore.golden.program.program_file import save_program
from stemcore.golden.spec.codec import CodecParams
from stemcore.hdl.export import chip_verilog
from stemcore.hdl.host.export import axi_host_verilog
from stemcore.testing import BenchOptions, run_bench
from tests.support.chip_programs import four_core_case
from tests.support.cocotb_runs import BENCHES, OUT, exported_node, simulators

pytestmark = [pytest.mark.sim, pytest.mark.slow]


def run(simulator, program, images, *, register_width, stream_width, chip_half, stalls, codec):
    case = f"{stream_width}{'-codec' * (codec is not None)}-{simulator}"
    folder = OUT / f"axi_chip-{program.name}-{case}"
    saved = folder / "program"
    save_program(program, saved)
    np.save(saved / "images.npy", images)
    size = {"columns": program.columns, "rows": program.rows}
    widths = {"register_width": register_width, "stream_width": stream_width}
    texts = {
        "node.v": exported_node(program.params),
        "chip.v": chip_verilog(program.params, **size),
        "axi_chip.v": axi_host_verilog(program.params, **size, **widths, codec=codec),
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


CASES = [
    pytest.param(
        simulator,
        *case,
        id=f"{name}-{simulator}",
        # Verilator takes half a minute to compile each; one is enough for most changes.
        marks=[pytest.mark.long] if simulator == "verilator" and name != "64" else [],
    )
    for simulator in simulators("icarus", "verilator")
    for name, case in {
        "32": (32, 3700, None, ["free/free", "half/third"]),
        "64": (64, 13300, None, ["free/free", "half/third"]),
        "codec": (32, 3700, CodecParams(512, 512), ["half/third"]),
    }.items()
]


@pytest.mark.parametrize(("simulator", "stream_width", "chip_half", "codec", "stalls"), CASES)
def test_random_network_through_axi(simulator, stream_width, chip_half, codec, stalls):
    _, program, images = four_core_case(0)
    passed = run(
        simulator,
        program,
        images[:2],
        register_width=96 - stream_width,
        stream_width=stream_width,
        chip_half=chip_half,
        stalls=stalls,
        codec=codec,
    )
    assert len(passed) == len(stalls)
