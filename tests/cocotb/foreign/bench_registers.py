# SPDX-License-Identifier: Apache-2.0
"""cocotb bench of registers behind AXI4-Lite, a core that is not of this project."""

import cocotb
import numpy as np
import pytest
from cocotb.triggers import gather

from stemcore.testing import AxiLiteMaster, BusError, ClockDomain, check_equal, seeded

N_REGISTERS = 16


async def started(dut, **pauses):
    domain = ClockDomain(dut.clk, reset=dut.rst)
    domain.start()
    master = AxiLiteMaster(dut, domain, limit=400, **pauses)
    await domain.reset()
    return domain, master


@cocotb.test(timeout_time=200, timeout_unit="us")
@cocotb.parametrize(gaps=["free", "third"], stalls=["free", "rare"])
async def every_register_reads_back(dut, gaps, stalls):
    rng = seeded("registers", gaps, stalls)
    _, master = await started(dut, gaps=gaps, stalls=stalls, rng=rng)
    words = rng.integers(1 << 32, size=N_REGISTERS).tolist()
    for n, word in enumerate(words):
        await master.write(4 * n, word)
    check_equal("registers", words, [await master.read(4 * n) for n in range(N_REGISTERS)])


@cocotb.test(timeout_time=200, timeout_unit="us")
async def accesses_of_several_tasks_take_turns(dut):
    _, master = await started(dut, gaps="half", stalls="half", rng=seeded("turns"))
    await gather(*(master.write(4 * n, 100 + n) for n in range(N_REGISTERS)))
    words = await gather(*(master.read(4 * n) for n in range(N_REGISTERS)))
    check_equal("registers", np.arange(N_REGISTERS) + 100, words)


@cocotb.test(timeout_time=200, timeout_unit="us")
async def strobes_choose_bytes(dut):
    _, master = await started(dut)
    await master.write(8, 0x11223344)
    await master.write(8, 0xAABBCCDD, strobe=0b0101)
    assert await master.read(8) == 0x11BB33DD


@cocotb.test(timeout_time=200, timeout_unit="us")
async def refusal_and_silence_are_told(dut):
    domain, master = await started(dut)
    with pytest.raises(BusError, match=r"^write of 0x1 to 0x40: must be answered OKAY, got SLVERR"):
        await master.write(0x40, 1)
    with pytest.raises(BusError, match=r"^read of 0x44: must be answered OKAY, got SLVERR$"):
        await master.read(0x44)
    dut.rst.value = 1
    with pytest.raises(BusError, match=r"^read of 0x0: must be answered within 400 cycles$"):
        await master.read(0)
