# SPDX-License-Identifier: Apache-2.0
"""cocotb bench of a chip of 2 x 2 nodes: networks of several tiles, image after image."""

import cocotb

from compiler.backend import compile_network
from compiler.errors import CompileError
from golden.forward import run_network
from golden.mesh import run_program
from golden.params import get_preset
from tests.support.cocotb_host import ChipHost
from tests.support.cocotb_streams import reset, seeded, set_pace
from tests.support.hand_programs import conv_chain_program
from tests.support.random_networks import random_images, random_network

PARAMS = get_preset("tiny")
COLUMNS = ROWS = 2
N_NETWORKS = 6
LIMIT = 100_000  # cycles that a run may take


async def run_and_check(dut, rng, program, network, images, stalls):
    source_stall, sink_stall = stalls.split("/")
    set_pace(dut.host_source.pauses, source_stall, rng)
    set_pace(dut.host_sink.pauses, sink_stall, rng)
    dut.host_source.offered.value = 0
    await reset(dut)
    host = ChipHost(dut, program, images)
    await host.run(LIMIT)
    host.check_spikes(run_network(network, images, acc_width=program.params.acc_width), "golden")
    host.check_spikes(run_program(program, images).values, "program")
    await host.check_counters()
    host.stop()


@cocotb.test(timeout_time=2000, timeout_unit="us")
@cocotb.parametrize(stalls=["free/free", "rare/free", "free/rare", "third/half"])
async def conv_chain_matches_golden(dut, stalls):
    rng = seeded("conv chain", stalls)
    program, network = conv_chain_program(int(rng.integers(1 << 30)))
    await run_and_check(dut, rng, program, network, random_images(rng, network, 4), stalls)


def chip_program(rng):
    """A random network that four cores hold, spread over three of them or all."""
    while True:
        network = random_network(rng, max_channels=8, max_size=7)
        try:
            program = compile_network(network, PARAMS, columns=COLUMNS, rows=ROWS)
        except CompileError:
            continue
        if len(program.cores) >= 3:
            return network, program


@cocotb.test(timeout_time=4000, timeout_unit="us")
@cocotb.parametrize(n=range(N_NETWORKS))
async def random_network_matches_golden(dut, n):
    rng = seeded("random network", n)
    network, program = chip_program(rng)
    stalls = ("free/free", "third/half", "half/rare")[n % 3]
    where = ", ".join(f"({core.x}, {core.y}) {core.layer}" for core in program.cores)
    cocotb.log.info("%d layers on %s", len(network.layers), where)
    await run_and_check(dut, rng, program, network, random_images(rng, network, 3), stalls)
