# SPDX-License-Identifier: Apache-2.0
"""cocotb bench of a chip of 2 x 2 nodes: networks of several tiles, image after image."""

import cocotb

from stemcore.golden.network.forward import run_network
from stemcore.golden.reference.program_engine import run_program
from stemcore.testing import seeded
from tests.support.chip_programs import four_core_program
from tests.support.cocotb_host import started_host
from tests.support.hand_programs import conv_chain_program
from tests.support.random_networks import random_images

N_NETWORKS = 6
LIMIT = 100_000  # cycles that a run may take


async def run_and_check(dut, rng, program, network, images, stalls):
    host = await started_host(dut, rng, program, images, stalls)
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


@cocotb.test(timeout_time=4000, timeout_unit="us")
@cocotb.parametrize(n=range(N_NETWORKS))
async def random_network_matches_golden(dut, n):
    rng = seeded("random network", n)
    network, program = four_core_program(rng)
    stalls = ("free/free", "third/half", "half/rare")[n % 3]
    where = ", ".join(f"({core.x}, {core.y}) {core.layer}" for core in program.cores)
    cocotb.log.info("%d layers on %s", len(network.layers), where)
    await run_and_check(dut, rng, program, network, random_images(rng, network, 3), stalls)
