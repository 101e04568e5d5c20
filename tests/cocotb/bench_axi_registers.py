# SPDX-License-Identifier: Apache-2.0
"""cocotb bench of the registers behind AXI4-Lite; the chip behind them is an echo."""

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge, gather

from stemcore.golden.spec.host_registers import (
    FIRST_PARAM,
    HOST_REGISTERS,
    IDENTITY,
    Access,
    params_of_words,
)
from stemcore.golden.spec.presets import get_preset
from stemcore.testing import seeded
from tests.support.axi_bus import OKAY, SLVERR, AxiRig
from tests.support.axi_flits import COLUMNS, ROWS, command_flits
from tests.support.register_model import N_NUMBERS, RegisterModel

PARAMS = get_preset("tiny")
N_ACCESSES = 250
ALL_NODES = {"x0": 0, "y0": 1, "x1": COLUMNS - 1, "y1": ROWS}
# Write address, write data, write response, read address, read data.
STALLS = {
    "free": ("free",) * 5,
    "slow_address": ("rare", "free", "free", "half", "free"),
    "slow_data": ("free", "rare", "third", "free", "third"),
    "slow_responses": ("free", "free", "rare", "free", "rare"),
    "all": ("half", "third", "half", "third", "half"),
}


async def started(dut, *key, stalls="free"):
    rng = seeded("axi registers", *key)
    rig = AxiRig(dut, rng, stalls=STALLS[stalls])
    await rig.reset()
    return rng, rig


async def snapshot(rig):
    """Values of all registers."""
    return {name: await rig.get(name) for name in HOST_REGISTERS}


@cocotb.test(timeout_time=500, timeout_unit="us")
async def registers_say_what_chip_it_is(dut):
    _, rig = await started(dut)
    assert await rig.get("IDENTITY") == IDENTITY
    mesh = await rig.fields("MESH")
    assert mesh["columns"] == COLUMNS
    assert mesh["rows"] == ROWS
    assert mesh["stream_width"] == len(dut.s_axis_tdata)
    names = [name for name, r in HOST_REGISTERS.items() if r.number >= FIRST_PARAM]
    assert params_of_words([await rig.get(name) for name in names]) == PARAMS
    assert await rig.fields("NODES") == ALL_NODES
    for register in HOST_REGISTERS.values():
        if register.access is Access.VALUE and register.name != "NODES":
            assert await rig.get(register.name) == register.init, register.name


@cocotb.test(timeout_time=5000, timeout_unit="us")
@cocotb.parametrize(stalls=list(STALLS))
async def random_accesses_match_the_model(dut, stalls):
    """Any address, aligned or not, of the map and beyond; any strobes; words that fit and not."""
    rng, rig = await started(dut, "random", stalls, stalls=stalls)
    model = RegisterModel(rig.bytes, await snapshot(rig))
    command = HOST_REGISTERS["COMMAND"].offset, HOST_REGISTERS["RESET"].offset
    errors = 0
    for n in range(N_ACCESSES):
        address = int(rng.integers(N_NUMBERS + 4)) * 4
        if rng.random() < 0.4:  # registers that can be written are few
            writable = [r.offset for r in HOST_REGISTERS.values() if r.access.is_writable]
            address = int(rng.choice(writable))
        if rng.random() < 0.1:
            address = int(rng.integers(1 << 12))
        if rng.random() < 0.4:
            wanted = model.read(address)
            assert tuple(await rig.read(address)) == wanted, f"access {n}: read of {address:#x}"
            errors += wanted[0] != OKAY
            continue
        strobe = int(rng.integers(1 << rig.bytes))
        data = int.from_bytes(rng.bytes(rig.bytes), "little")
        word = address // rig.bytes * rig.bytes
        for place in range(0, rig.bytes, 4):
            lanes = 0xFFFFFFFF << 8 * place
            if rng.random() < 0.7:  # few bits, so that most words have fields for all of them
                data = data & ~lanes | (data & lanes & 0x1F * 0x01010101 << 8 * place)
            if word + place in command:  # what these do is another test's
                data &= ~lanes
        wanted = model.write(address, data, strobe)
        got = await rig.write(address, data, strobe)
        where = f"access {n}: write of {data:#x}, strobes {strobe:#b}, to {address:#x}"
        assert got == wanted, where
        errors += wanted != OKAY
    assert errors > 20, "refused accesses must be among them"
    assert await snapshot(rig) == model.values


@cocotb.test(timeout_time=1000, timeout_unit="us")
async def refused_write_changes_nothing(dut):
    _, rig = await started(dut)
    before = await snapshot(rig)
    watchdog, last_kinds = (HOST_REGISTERS[name].offset for name in ("WATCHDOG", "LAST_KINDS"))
    full = (1 << rig.bytes) - 1
    assert (
        await rig.write(watchdog + 1, 3 * 0x0101010101010101 & (1 << 8 * rig.bytes) - 1) == SLVERR
    )
    assert await rig.write(0x800 | watchdog, 3) == SLVERR
    assert await rig.put("WATCHDOG", 1 << 5) == SLVERR
    assert await rig.put("IDENTITY", 0) == SLVERR
    assert await rig.put("STATUS", 0) == SLVERR
    assert (await rig.read(watchdog + 2)).response == SLVERR
    assert (await rig.read(0xFFC)).response == SLVERR
    if rig.bytes == 8:  # COMMAND's bad bit spoils LAST_KINDS as well
        assert await rig.write(last_kinds - 4, 0x55_8000_0000, full) == SLVERR
        assert await rig.write(last_kinds, 1, 0x0F) == SLVERR, "strobes below the address"
    assert await snapshot(rig) == before


@cocotb.test(timeout_time=1000, timeout_unit="us")
@cocotb.parametrize(stalls=["free", "all"])
async def reads_and_writes_do_not_wait_for_each_other(dut, stalls):
    _, rig = await started(dut, "both", stalls, stalls=stalls)

    async def writes():
        for n in range(32):
            assert await rig.put("WATCHDOG", n) == OKAY

    async def reads():
        for _ in range(32):
            assert await rig.get("IDENTITY") == IDENTITY

    await gather(writes(), reads())
    assert await rig.get("WATCHDOG") == 31


@cocotb.test(timeout_time=1000, timeout_unit="us")
async def command_is_two_flits_to_the_nodes(dut):
    _, rig = await started(dut)
    for nodes, does in (
        (ALL_NODES, {"stop": 1}),
        ({"x0": 1, "y0": 1, "x1": 1, "y1": 2}, {"start": 1, "clear_counters": 1}),
        ({"x0": 0, "y0": 2, "x1": 0, "y1": 2}, {"clear_errors": 1}),
    ):
        assert await rig.put_fields("NODES", **nodes) == OKAY
        assert await rig.put_fields("COMMAND", **does) == OKAY
        wanted = command_flits(tuple(nodes.values()), **does)
        # An echo of ADDRESS and WRITE: kinds that are packets of their own.
        assert [await rig.receive(), await rig.receive()] == [[flit] for flit in wanted]
    assert await rig.get("COMMAND") == 0
    assert (await rig.fields("INTERRUPT"))["command_done"] == 1
    assert await rig.get("FLITS_IN") == await rig.get("FLITS_OUT") == 6


@cocotb.test(timeout_time=1000, timeout_unit="us")
async def command_outside_the_mesh_is_refused(dut):
    _, rig = await started(dut)
    for nodes in (
        ALL_NODES | {"x1": COLUMNS},
        ALL_NODES | {"y1": ROWS + 1},
        ALL_NODES | {"y0": 0},
        ALL_NODES | {"x0": 1, "x1": 0},
        ALL_NODES | {"y0": 2, "y1": 1},
        ALL_NODES | {"x0": 128, "x1": 255},
    ):
        assert await rig.put_fields("NODES", **nodes) == OKAY
        assert await rig.put_fields("COMMAND", stop=1) == SLVERR, nodes
        assert await rig.put("COMMAND", 0) == OKAY, "which asks for nothing"
    await ClockCycles(dut.aclk, 50)
    assert await rig.get("FLITS_IN") == 0


@cocotb.test(timeout_time=1000, timeout_unit="us")
async def interrupt_follows_its_enable_and_is_cleared_by_ones(dut):
    _, rig = await started(dut)
    assert await rig.fields("INTERRUPT") == {
        "error": 0, "sample": 0, "reset_done": 1, "command_done": 0,
    }  # fmt: skip
    assert dut.interrupt.value == 0
    assert await rig.put_fields("INTERRUPT_ENABLE", reset_done=1) == OKAY
    await ClockCycles(dut.aclk, 3)
    assert dut.interrupt.value == 1
    assert await rig.put_fields("INTERRUPT", error=1, sample=1, command_done=1) == OKAY
    await ClockCycles(dut.aclk, 3)
    assert dut.interrupt.value == 1, "other bits than its own were cleared"
    assert await rig.put_fields("INTERRUPT", reset_done=1) == OKAY
    await ClockCycles(dut.aclk, 3)
    assert dut.interrupt.value == 0
    assert await rig.put_fields("RESET", reset=1) == OKAY
    await RisingEdge(dut.interrupt)
    assert (await rig.fields("STATUS"))["resetting"] == 0


@cocotb.test(timeout_time=2000, timeout_unit="us")
async def reset_of_the_bus_in_flight_leaves_nothing_behind(dut):
    """At every distance from the begin of accesses; afterwards all is as after power on."""
    rng, rig = await started(dut)
    after_power_on = await snapshot(rig)
    for cycles in range(1, 9):
        await rig.put("WATCHDOG", int(rng.integers(1, 32)))
        write = cocotb.start_soon(rig.put("SAMPLE_ENDS", 0x30003))
        read = cocotb.start_soon(rig.read(0))
        await ClockCycles(dut.aclk, cycles)
        write.cancel()
        read.cancel()
        await rig.reset(cycles=5)
        assert await snapshot(rig) == after_power_on, f"{cycles} cycles"
