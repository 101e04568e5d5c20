# SPDX-License-Identifier: Apache-2.0
"""cocotb bench of one router: flits of every kind of rectangle against routing."""

import cocotb
from cocotb.triggers import gather

from stemcore.golden.spec.fields import Formats
from stemcore.golden.spec.presets import get_preset
from stemcore.golden.spec.routing import Port, next_ports
from stemcore.testing import (
    ClockDomain,
    HdlStreamDriver,
    HdlStreamMonitor,
    Scoreboard,
    seeded,
    set_pace,
)

PARAMS = get_preset("tiny")
FLIT = Formats(PARAMS).flit
N_FLITS = 200  # into each port
TAG = 8  # low bits of the payload: port and number tell flits apart


def show(flit):
    fields = FLIT.unpack(flit)
    corners = tuple(fields[name] for name in ("x0", "y0", "x1", "y1"))
    return f"kind {fields['kind']} to {corners}, payload {fields['payload']:#x}"


def came_in(flit):
    return Port((FLIT.unpack(flit)["payload"] >> TAG) & 7).name


def rectangle(rng, here):
    """Unicast, multicast, this node, the host, and now and then one that is inverted."""
    top = 1 << PARAMS.coord_width
    choice = rng.integers(8)
    if choice == 0:
        return 0, 0, 0, 0
    if choice == 1:
        return here * 2
    x0, x1, y0, y1 = (int(v) for v in rng.integers(0, top, 4))
    if choice in (2, 3):
        return x0, y0, x0, y0
    if choice == 4:
        return x0, y0, x1, y1
    return min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)


def flits(rng, port, here):
    payload_width = Formats(PARAMS).payload_width
    items = []
    for n in range(N_FLITS):
        x0, y0, x1, y1 = rectangle(rng, here)
        noise = int(rng.integers(1 << (payload_width - TAG - 3))) << (TAG + 3)
        payload = noise | int(port) << TAG | n
        kind = int(rng.integers(7))
        items.append(FLIT.pack(kind=kind, x0=x0, y0=y0, x1=x1, y1=y1, payload=payload))
    return items


def routes(flit, port, here):
    fields = FLIT.unpack(flit)
    return next_ports(*here, port, tuple(fields[name] for name in ("x0", "y0", "x1", "y1")))


@cocotb.test(timeout_time=400, timeout_unit="us")
@cocotb.parametrize(
    here=[(0, 1), (3, 1), (3, 4), (7, 7)],
    stalls=["free/free", "free/third", "third/free", "half/half"],
)
async def every_flit_reaches_its_outputs_in_order(dut, here, stalls):
    rng = seeded("router", here, stalls)
    source_stall, sink_stall = stalls.split("/")
    dut.x.value, dut.y.value = here
    for port in Port:
        set_pace(dut.port[port].source.pauses, source_stall, rng)
        set_pace(dut.port[port].sink.pauses, sink_stall, rng)
    drivers = [HdlStreamDriver(dut.port[port].source) for port in Port]
    domain = ClockDomain(dut.clk, reset=dut.rst)
    await domain.reset()

    boards = [Scoreboard(f"output {port.name}", channel_of=came_in, show=show) for port in Port]
    monitors = [HdlStreamMonitor(dut.port[p].sink.observer, boards[p].see) for p in Port]
    streams = {port: flits(rng, port, here) for port in Port}
    for port, items in streams.items():
        for out in Port:
            boards[out].expect(f for f in items if out in routes(f, port, here))
    await gather(*(drivers[port].send_all(streams[port]) for port in Port))
    for board in boards:
        await board.empty(domain, 4000)
    await domain.cycles(20)
    assert dut.idle.value == 1, "no flit may be left in a queue"
    for monitor in monitors:
        monitor.stop()


@cocotb.test(timeout_time=100, timeout_unit="us")
async def one_flit_a_cycle_passes_on_every_port(dut):
    """Opposite ports at full rate, all at once: nothing is in anything's way."""
    here = (3, 4)
    dut.x.value, dut.y.value = here
    rng = seeded("router rate")
    for port in Port:
        set_pace(dut.port[port].source.pauses, "free", rng)
        set_pace(dut.port[port].sink.pauses, "free", rng)
    drivers = [HdlStreamDriver(dut.port[port].source) for port in Port]
    domain = ClockDomain(dut.clk, reset=dut.rst)
    await domain.reset()
    n = 100
    to = {
        Port.NORTH: (3, 6),
        Port.SOUTH: (3, 1),
        Port.EAST: (1, 4),
        Port.WEST: (6, 4),
        Port.LOCAL: here,
    }
    streams, boards = {}, []
    for out in Port:
        boards.append(Scoreboard(f"output {out.name}", channel_of=came_in, show=show))
    for port, (x, y) in to.items():
        streams[port] = [
            FLIT.pack(kind=0, x0=x, y0=y, x1=x, y1=y, payload=int(port) << TAG | i)
            for i in range(n)
        ]
        (out,) = next_ports(*here, port, (x, y, x, y))
        boards[out].expect(streams[port])
    monitors = [HdlStreamMonitor(dut.port[p].sink.observer, boards[p].see) for p in Port]
    started = domain.cycle
    await gather(*(drivers[port].send_all(streams[port]) for port in Port))
    for board in boards:
        await board.empty(domain, 10)
    took = domain.cycle - started
    assert took <= n + 3, f"{n} flits must pass in {n} cycles and a latency, took {took}"
    for monitor in monitors:
        monitor.stop()
