# SPDX-License-Identifier: Apache-2.0
"""cocotb benches of the counter in test_toolchain.py; one of them fails on purpose."""

import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge


async def started(dut):
    dut.rst.value = 1
    dut.en.value = 0
    cocotb.start_soon(Clock(dut.clk, 10, unit="ns").start())
    await FallingEdge(dut.clk)
    await FallingEdge(dut.clk)
    dut.rst.value = 0


@cocotb.test(timeout_time=100, timeout_unit="us")
async def counts_enabled_cycles(dut):
    await started(dut)
    expected = 0
    for _ in range(300):
        enable = random.randrange(2)
        dut.en.value = enable
        await FallingEdge(dut.clk)
        expected = (expected + enable) % (1 << len(dut.count))
        assert dut.count.value.to_unsigned() == expected


@cocotb.test(timeout_time=100, timeout_unit="us")
async def expects_too_much(dut):
    await started(dut)
    dut.en.value = 1
    await FallingEdge(dut.clk)
    assert dut.count.value.to_unsigned() == 2
