# SPDX-License-Identifier: Apache-2.0
"""Stream sources and sinks for Amaranth's simulator, with stall patterns.

Payloads cross this file as plain integers, the raw bits of the payload
(``stemcore.golden.spec.fields``' ``BitFields.pack`` and ``unpack`` translate); only a payload of
signed shape may be negative.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import pytest
from amaranth.hdl import Value
from amaranth.sim import Simulator

from stemcore.testing import willing

STALLS = ("free", "half", "third")  # patterns that streams are tested with
# All of them; the fast tests take the one that holds streams up most.
BY_STALL = pytest.mark.parametrize(
    "stall", [pytest.param(name, marks=pytest.mark.slow) for name in STALLS[:2]] + [STALLS[2]]
)


class Source:
    """Sends ``items`` in order, one at most a cycle; what is offered stays until it is taken.

    Attributes
    ----------
    cycles : list[int]
        For each item sent, the number of the clock edge that took it, counted from 0.
    """

    def __init__(
        self,
        stream: object,
        items: Iterable[int],
        stall: str = "free",
        rng: np.random.Generator | None = None,
    ):
        self.stream = stream
        self.items = items
        self.cycles: list[int] = []
        self._willing = willing(stall, rng)

    async def drive(self, ctx) -> None:
        """The testbench; ends after the last item."""
        stream, cycle = self.stream, 0
        payload = Value.cast(stream.payload)
        for item in self.items:
            while not next(self._willing):
                await ctx.tick()
                cycle += 1
            ctx.set(payload, item)
            ctx.set(stream.valid, 1)
            taken = False
            while not taken:
                _, _, taken = await ctx.tick().sample(stream.ready)
                cycle += 1
            self.cycles.append(cycle - 1)
            ctx.set(stream.valid, 0)


class Sink:
    """Takes what arrives, until ``n_items`` have; holds the source to the stream's rules.

    Raises ``AssertionError`` if a payload changes or is withdrawn while it waits.

    Attributes
    ----------
    items : list[int]
        What arrived.
    cycles : list[int]
        For each of them, the number of the clock edge that took it, counted from 0.
    """

    def __init__(
        self,
        stream: object,
        n_items: int,
        stall: str = "free",
        rng: np.random.Generator | None = None,
    ):
        self.stream = stream
        self.n_items = n_items
        self.items: list[int] = []
        self.cycles: list[int] = []
        self._willing = willing(stall, rng)

    async def drive(self, ctx) -> None:
        """The testbench; ends after item ``n_items``."""
        stream, cycle = self.stream, 0
        payload, waiting = Value.cast(stream.payload), None
        while len(self.items) < self.n_items:
            ready = next(self._willing)
            ctx.set(stream.ready, ready)
            _, _, valid, item = await ctx.tick().sample(stream.valid, payload)
            if waiting is not None and (not valid or item != waiting):
                got = f"{item:#x}" if valid else "nothing"
                raise AssertionError(
                    f"cycle {cycle}, item {len(self.items)}: {waiting:#x} waits and must stay, "
                    f"got {got}"
                )
            waiting = item if valid and not ready else None
            if valid and ready:
                self.items.append(item)
                self.cycles.append(cycle)
            cycle += 1
        ctx.set(stream.ready, 0)

    async def guard(self, ctx) -> None:
        """After ``drive``: raises ``AssertionError`` if anything more is offered."""
        payload = Value.cast(self.stream.payload)
        while True:
            _, _, valid, item = await ctx.tick().sample(self.stream.valid, payload)
            if valid:
                raise AssertionError(
                    f"must give {self.n_items} items, then nothing; got {item:#x} besides"
                )


def simulate(
    dut: object,
    benches: Sequence[object],
    *,
    limit: int,
    settle: int = 20,
    background: Sequence[object] = (),
    vcd: str | None = None,
) -> None:
    """Runs ``dut`` until every bench has ended, then ``settle`` cycles more under the sinks' guard.

    ``benches`` and ``background`` hold testbenches (``async def f(ctx)``) or objects with such a
    method ``drive``; nobody waits for those in ``background``. Raises ``TimeoutError``, with the
    progress of every sink, if the benches have not ended after ``limit`` cycles. ``vcd`` names a
    file for waves.
    """
    left = len(benches)

    async def deadline(ctx) -> None:
        for _ in range(limit):
            if not left:
                break
            await ctx.tick()
        if left:
            progress = [f"{len(b.items)}/{b.n_items}" for b in benches if isinstance(b, Sink)]
            raise TimeoutError(
                f"{left} of {len(benches)} benches still run after {limit} cycles; "
                f"items received: {', '.join(progress) or 'no sinks'}"
            )
        for _ in range(settle):
            await ctx.tick()

    def counted(bench: object):
        drive = getattr(bench, "drive", bench)

        async def run(ctx) -> None:
            nonlocal left
            await drive(ctx)
            left -= 1
            if hasattr(bench, "guard"):
                await bench.guard(ctx)

        return run

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    for bench in background:
        simulator.add_testbench(getattr(bench, "drive", bench), background=True)
    for bench in benches:
        # In the background, so that the deadline alone decides when the simulation ends.
        simulator.add_testbench(counted(bench), background=True)
    simulator.add_testbench(deadline)
    if vcd is None:
        simulator.run()
    else:
        with simulator.write_vcd(vcd):
            simulator.run()


def transfer(
    dut: object,
    items: Sequence[int],
    n_items: int,
    *,
    stall: str = "free",
    rng: np.random.Generator | None = None,
    limit: int | None = None,
) -> list[int]:
    """What ``dut.o`` gives for ``items`` sent into ``dut.i``, both sides stalling alike.

    Raises if fewer than ``n_items`` come out in time, or more.
    """
    sink = Sink(dut.o, n_items, stall, rng)
    limit = 1000 + 20 * (len(items) + n_items) if limit is None else limit
    simulate(dut, [Source(dut.i, items, stall, rng), sink], limit=limit)
    return sink.items
