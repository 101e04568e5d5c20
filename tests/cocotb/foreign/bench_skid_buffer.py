# SPDX-License-Identifier: Apache-2.0
"""cocotb bench of a register stage with AXI4-Stream ports, a core that is not of this project."""

import cocotb

from stemcore.testing import (
    ClockDomain,
    Scoreboard,
    Stream,
    StreamDriver,
    StreamMonitor,
    StreamSink,
    seeded,
)

N_ITEMS = 300


def streams(dut):
    """The clock, and both ports; items are dicts of data and last."""
    domain = ClockDomain(dut.aclk, period_ns=8, reset=dut.aresetn, reset_active=0)
    width = {"data": 16, "last": 1}
    ports = [
        Stream.of(
            dut,
            domain,
            valid=f"{side}_axis_tvalid",
            ready=f"{side}_axis_tready",
            payload={"data": f"{side}_axis_tdata", "last": f"{side}_axis_tlast"},
            width=width,
        )
        for side in ("s", "m")
    ]
    return domain, *ports


@cocotb.test(timeout_time=200, timeout_unit="us")
@cocotb.parametrize(gaps=["free", "half", "rare"], stalls=["free", "third", "rare"])
async def every_word_comes_out_once_and_in_order(dut, gaps, stalls):
    rng = seeded("skid buffer", gaps, stalls)
    domain, source, sink = streams(dut)
    domain.start()
    driver = StreamDriver(source, gaps=gaps, rng=rng)
    board = Scoreboard("skid buffer")
    into = StreamMonitor(source, board.model(lambda item: [item]))
    out = StreamSink(sink, board.see, stalls=stalls, rng=rng)
    await domain.reset()

    data, last = rng.integers(1 << 16, size=N_ITEMS), rng.integers(2, size=N_ITEMS)
    began = domain.cycle
    await driver.send_all({"data": int(d), "last": int(n)} for d, n in zip(data, last, strict=True))
    await board.empty(domain, 200)
    await domain.cycles(20)
    assert driver.n_sent == into.n_seen == out.n_seen == N_ITEMS
    if gaps == stalls == "free":
        took = domain.cycle - began
        assert took <= N_ITEMS + 25, f"a word a cycle must pass, {N_ITEMS} took {took} cycles"


@cocotb.test(timeout_time=200, timeout_unit="us")
async def reset_forgets_what_waits(dut):
    """What the driver has not got rid of comes after the reset; nothing else is left."""
    domain, source, sink = streams(dut)
    domain.start()
    driver = StreamDriver(source)
    out = StreamSink(sink, stalls=[False] * 30)
    await domain.reset()
    done = driver.queue({"data": n, "last": 0} for n in range(4))
    await domain.cycles(10)
    assert driver.n_sent == 2, "the buffer holds two words"
    await domain.reset()
    await done.wait()
    await domain.cycles(40)
    assert [item["data"] for item in out.items] == [2, 3]
