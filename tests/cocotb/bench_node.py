# SPDX-License-Identifier: Apache-2.0
"""cocotb bench of one node: networks of one core, memories and counters over the mesh."""

import cocotb
import numpy as np
import pytest
from cocotb.triggers import gather

from stemcore.golden.network.forward import run_network
from stemcore.golden.program.program import CoreImage
from stemcore.golden.reference.program_engine import run_program
from stemcore.golden.spec.fields import Formats, Memory
from stemcore.golden.spec.presets import get_preset
from stemcore.golden.spec.registers import Control
from stemcore.golden.spec.routing import LINKS, Port, next_ports
from stemcore.runtime.engines.compare import Difference
from stemcore.testing import (
    ClockDomain,
    HdlStreamDriver,
    HdlStreamMonitor,
    Scoreboard,
    check_equal,
    seeded,
    set_pace,
)
from tests.support.chip_programs import one_core_program
from tests.support.cocotb_host import started_host
from tests.support.hand_programs import dense_program
from tests.support.random_networks import random_images

PARAMS = get_preset("tiny")
N_NETWORKS = 5
LIMIT = 60_000  # cycles that a run may take


async def run_and_check(dut, rng, program, network, images, stalls="free/free"):
    """Spikes against golden and the program engine, counters, then all memories read back."""
    host = await started_host(dut, rng, program, images, stalls)
    await host.run(LIMIT)
    host.check_spikes(run_network(network, images, acc_width=program.params.acc_width), "golden")
    host.check_spikes(run_program(program, images).values, "program")
    await host.check_counters()
    for core in program.cores:
        for memory, words in (await host.read_memories(core)).items():
            check_equal(memory.name, core.memories[memory], words)
    host.stop()
    assert dut.edge_broken.value == 0, "a lone node has nothing to send to the east, south or west"


@cocotb.test(timeout_time=2000, timeout_unit="us")
@cocotb.parametrize(
    multipliers=[False, True], lookup=[False, True], stalls=["free/free", "third/half"]
)
async def dense_layer_matches_golden(dut, multipliers, lookup, stalls):
    rng = seeded("dense", multipliers, lookup, stalls)
    program, network = dense_program(
        int(rng.integers(1 << 30)), multipliers=multipliers, lookup=lookup
    )
    await run_and_check(dut, rng, program, network, random_images(rng, network, 3), stalls)


@cocotb.test(timeout_time=2000, timeout_unit="us")
@cocotb.parametrize(n=range(N_NETWORKS), stalls=["free/free", "half/third"])
async def random_layer_matches_golden(dut, n, stalls):
    rng = seeded("random layer", n, stalls)
    network, program = one_core_program(rng)
    await run_and_check(dut, rng, program, network, random_images(rng, network, 2), stalls)


def random_words(rng, memory):
    """Words for the whole depth of a memory, as chunks (words, chunks)."""
    formats = Formats(PARAMS)
    _, depth = formats.memory(memory)
    width, n_chunks = formats.word_width(memory), formats.n_chunks(memory)
    words = rng.integers(0, 1 << 32, (depth, n_chunks), dtype=np.uint32)
    words[:, -1] &= np.uint32((1 << (width - 32 * (n_chunks - 1))) - 1)
    return words


@cocotb.test(timeout_time=2000, timeout_unit="us")
async def every_word_of_every_memory_reads_back(dut):
    """Full depth, all bits; then some words again, in random order, by pointer."""
    rng = seeded("memories")
    contents = {m: random_words(rng, m) for m in Memory if m is not Memory.CONTROL}
    program, network = dense_program()
    core = CoreImage(0, 1, "dense", contents)
    images = random_images(rng, network, 0)
    host = await started_host(dut, rng, program, images, "free/free")
    # The memories of a core that runs are its own.
    host.protocol.send(host.host.stop((0, 1, 0, 1)).tolist())
    host.protocol.send(host.host.configuration(core).tolist())
    for memory, words in (await host.read_memories(core)).items():
        check_equal(memory.name, contents[memory], words)
    for memory, words in contents.items():
        for address in rng.integers(0, len(words), 4).tolist():
            got = await host.read(core, memory, address, words.shape[1])
            assert got == words[address].tolist(), f"{memory.name}[{address}]"
    host.stop()


@cocotb.test(timeout_time=400, timeout_unit="us")
async def flipped_weight_is_found(dut):
    """The comparison itself: one wrong bit of one weight must show in the spikes."""
    rng = seeded("flipped weight")
    program, network = dense_program(11)
    images = np.full((1, *network.input.shape), 7)
    host = await started_host(dut, rng, program, images, "free/free")
    (core,) = program.cores
    words = core.memories[Memory.WEIGHT].copy()
    words[0, 0] ^= 1 << 6
    wrong = CoreImage(core.x, core.y, core.layer, {Memory.WEIGHT: words})
    for flits in (
        host.host.stop((0, 1, 0, 1)),
        host.host.configuration(wrong),
        host.host.start(core),
    ):
        host.protocol.send(flits.tolist())
    await host.run(LIMIT)
    with pytest.raises(Difference, match=r"^dense: image 0, neuron \(channel 0, row 0, column 0\)"):
        host.check_spikes(run_network(network, images), "golden")
    host.stop()


@cocotb.test(timeout_time=400, timeout_unit="us")
async def reset_in_flight_leaves_nothing_behind(dut):
    """Reset while a sample is under way; the next run is as the first one."""
    rng = seeded("reset in flight")
    program, network = dense_program(7)
    images = random_images(rng, network, 2)
    for _ in range(3):
        host = await started_host(dut, rng, program, images, "free/free")
        await host.domain.cycles(int(rng.integers(150, 400)))
        dut.rst.value = 1
        host.stop()
    await run_and_check(dut, rng, program, network, images)


@cocotb.test(timeout_time=400, timeout_unit="us")
async def commands_clear_counters_and_holes_read_zero(dut):
    rng = seeded("registers")
    program, network = dense_program(3)
    images = random_images(rng, network, 1)
    host = await started_host(dut, rng, program, images, "free/free")
    await host.run(LIMIT)
    (core,) = program.cores
    assert await host.read(core, Memory.CONTROL, Control.COMMAND) == [0]
    n_holes = Control.SOPS_LOW - Control.COMMAND - 1
    holes = await host.read(core, Memory.CONTROL, Control.COMMAND + 1, n_holes)
    assert holes == [0] * n_holes
    assert (await host.counters(core))["samples"] == 1
    node = (core.x, core.y, core.x, core.y)
    host.protocol.send(host.host.command(node, clear_counters=1).tolist())
    counters = await host.counters(core)
    flags = host.host.formats.flags.unpack(counters.pop("flags"))
    assert set(counters.values()) == {0}, counters
    assert flags == {"overflow": 0, "running": 1}
    host.stop()


def passing_flits(rng, here, port, n):
    """Flits of any kind into ``port`` that are not for this node's core, and end nowhere."""
    formats, top = Formats(PARAMS), 1 << PARAMS.coord_width
    items = []
    while len(items) < n:
        corners = rng.integers(0, top, 4).tolist()
        if rng.integers(2):  # one node, or an ordered rectangle of them
            corners[2:] = corners[:2]
        x0, x1 = sorted(corners[0::2])
        y0, y1 = sorted(corners[1::2])
        ports = next_ports(*here, port, (x0, y0, x1, y1))
        if not ports or Port.LOCAL in ports:
            continue
        payload = int(rng.integers(1 << 62)) & ((1 << formats.payload_width) - 1)
        kind = int(rng.integers(8))
        flit = formats.flit.pack(kind=kind, x0=x0, y0=y0, x1=x1, y1=y1, payload=payload)
        items.append((flit, ports))
    return items


@cocotb.test(timeout_time=400, timeout_unit="us")
@cocotb.parametrize(here=[(0, 1), (5, 2), (2, 6)], stalls=["free/third", "third/half"])
async def flits_that_pass_leave_the_core_alone(dut, here, stalls):
    """Each leaves through the links of its route, in order of its source; no error is seen."""
    rng = seeded("passing", here, stalls)
    dut.x.value, dut.y.value = here
    sides = dict(zip((Port.EAST, Port.SOUTH, Port.WEST), dut.side, strict=True))
    sources = {Port.NORTH: dut.host_source} | {port: side.source for port, side in sides.items()}
    sinks = {Port.NORTH: dut.host_sink} | {port: side.sink for port, side in sides.items()}
    for streams, stall in zip((sources, sinks), stalls.split("/"), strict=True):
        for stream in streams.values():
            set_pace(stream.pauses, stall, rng)
    drivers = {port: HdlStreamDriver(source) for port, source in sources.items()}
    domain = ClockDomain(dut.clk, reset=dut.rst)
    await domain.reset()

    sent = {port: passing_flits(rng, here, port, 80) for port in LINKS}
    came_in = {flit: port for port, items in sent.items() for flit, _ in items}
    boards = {
        port: Scoreboard(f"link {port.name}", channel_of=lambda flit: came_in.get(flit))
        for port in LINKS
    }
    monitors = [HdlStreamMonitor(sinks[port].observer, boards[port].see) for port in LINKS]
    for items in sent.values():
        for port in LINKS:
            boards[port].expect(flit for flit, ports in items if port in ports)
    await gather(*(drivers[p].send_all([flit for flit, _ in sent[p]]) for p in LINKS))
    for board in boards.values():
        await board.empty(domain, 4000)
    await domain.cycles(20)
    assert dut.quiet.value == 1, "nothing may be left in the node"
    for monitor in monitors:
        monitor.stop()
    for side in sides.values():
        set_pace(side.source.pauses, "free", rng)
        set_pace(side.sink.pauses, "free", rng)
    dut.x.value, dut.y.value = 0, 1
