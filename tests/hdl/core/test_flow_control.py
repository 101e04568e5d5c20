# SPDX-License-Identifier: Apache-2.0
from itertools import pairwise

import pytest
from amaranth.back import rtlil

from stemcore.golden.spec.fields import Formats, Kind
from stemcore.golden.spec.presets import PRESETS, get_preset
from stemcore.hdl.core.flow_control import FlowControl
from tests.support.streams import BY_STALL, Sink, simulate

TINY = get_preset("tiny")
FIRST = 4  # of the entries of the list


def table(rng):
    layout = Formats(TINY).destination
    return [
        {name: int(rng.integers(0, 1 << width)) for name, width in layout.widths}
        for _ in range(TINY.n_destinations)
    ]


def token(kind, entry, t=0):
    formats = Formats(TINY)
    rectangle = {name: entry[name] for name in ("x0", "y0", "x1", "y1")}
    spike = formats.spike.pack(axon=0, t=t, c=0, y=0, x=0)
    return formats.flit.pack(kind=int(kind), **rectangle, payload=spike)


class Lists:
    """A flow control with ``n`` entries in its list, and the table that it borrows."""

    def __init__(self, rng, n):
        self.dut, self._entries, self._n = FlowControl(params=TINY), table(rng), n

    def credits(self):
        return [token(Kind.CREDIT, entry) for entry in self._entries[FIRST : FIRST + self._n]]

    def paces(self, hold):
        entries = self._entries[FIRST : FIRST + self._n]
        return [token(Kind.PACE, entry, int(hold)) for entry in entries]

    def set_list(self, ctx):
        run = Formats(TINY).token_list.pack(start=FIRST, count=self._n)
        ctx.set(self.dut.credit_list.as_value(), run)

    async def grant(self, ctx):
        """One command; returns the cycles of ``granting``."""
        dut = self.dut
        ctx.set(dut.grant, 1)
        await ctx.tick()
        ctx.set(dut.grant, 0)
        n_cycles = 0
        while ctx.get(dut.granting):
            assert not ctx.get(dut.idle)
            n_cycles += 1
            await ctx.tick()
        return n_cycles

    async def drive(self, ctx):
        """Plays the destination table: an entry is there in the second cycle after ``borrow``."""
        dut, layout, lent = self.dut, Formats(TINY).destination, None
        async for _, _, borrow, address in ctx.tick().sample(dut.borrow, dut.borrow_address):
            if lent is not None:
                ctx.set(dut.borrowed.as_value(), layout.pack(**self._entries[lent]))
            lent = address if borrow else None


@BY_STALL
@pytest.mark.parametrize("n_entries", [1, 3])
def test_every_source_is_told_to_hold_and_to_go_on(n_entries, stall, rng):
    lists = Lists(rng, n_entries)
    dut, expected = lists.dut, [word for hold in (1, 0, 1, 0) for word in lists.paces(hold)]
    sink = Sink(dut.o, len(expected), stall, rng)

    async def drive(ctx):
        lists.set_list(ctx)
        ctx.set(dut.is_low, 1)
        await ctx.tick().repeat(3)
        assert ctx.get(dut.idle)
        for _ in range(2):
            # Low stays set for a while after high, as with a small queue: hold comes first.
            ctx.set(dut.is_high, 1)
            await ctx.tick()
            ctx.set(dut.is_low, 0)
            await ctx.tick().repeat(int(rng.integers(1, 30)))
            ctx.set(dut.is_high, 0)
            await ctx.tick().repeat(60)
            assert not ctx.get(dut.idle), "sources hold as long as the queue is not low"
            ctx.set(dut.is_low, 1)
            await ctx.tick().repeat(60)
            assert ctx.get(dut.idle)

    simulate(dut, [drive, sink], limit=2000, background=[lists])
    assert sink.items == expected


@pytest.mark.parametrize("n_entries", [0, 1, 3])
def test_a_grant_is_a_credit_for_every_source_in_the_promised_cycles(n_entries, rng):
    lists = Lists(rng, n_entries)
    sink = Sink(lists.dut.o, 5 * n_entries)

    async def drive(ctx):
        lists.set_list(ctx)
        for _ in range(5):
            assert await lists.grant(ctx) == 4 * n_entries + 2
            assert ctx.get(lists.dut.idle)

    simulate(lists.dut, [drive, sink], limit=200, background=[lists])
    assert sink.items == 5 * lists.credits()
    assert [cycle - 5 for cycle in sink.cycles[:n_entries]] == [4 * i for i in range(n_entries)]


@pytest.mark.medium
@BY_STALL
def test_no_credit_is_lost_or_merged_among_paces(stall, rng):
    lists = Lists(rng, 3)
    dut, n_grants = lists.dut, 0
    sent, lists_sent = [], []  # names of flits, and of whole lists
    names = dict.fromkeys(lists.credits(), "credit")
    names |= dict.fromkeys(lists.paces(1), "hold") | dict.fromkeys(lists.paces(0), "go")

    async def levels(ctx):
        while True:
            level = int(rng.integers(0, 3))
            ctx.set(dut.is_high, level == 2)
            ctx.set(dut.is_low, level == 0)
            for _ in range(int(rng.integers(1, 40))):
                await ctx.tick()

    async def grants(ctx):
        nonlocal n_grants
        lists.set_list(ctx)
        for _ in range(60):
            await ctx.tick().repeat(int(rng.integers(1, 40)))
            await lists.grant(ctx)
            n_grants += 1
            assert sent.count("credit") == 3 * n_grants

    async def watch(ctx):
        async for _, _, valid, ready, word in ctx.tick().sample(
            dut.o.valid, dut.o.ready, dut.o.payload.as_value()
        ):
            if valid and ready:
                sent.append(names[word])
                if len(sent) % 3 == 0:
                    assert len(set(sent[-3:])) == 1, "a list that has been begun is ended"
                    lists_sent.append(sent[-1])

    sink = Sink(dut.o, 10**6, stall, rng)
    simulate(dut, [grants], limit=20_000, background=[lists, levels, sink, watch])
    paces = [name for name in lists_sent if name != "credit"]
    assert paces[:2] == ["hold", "go"] and len(paces) > 10
    assert all(a != b for a, b in pairwise(paces))


def test_credit_goes_before_pace(rng):
    lists = Lists(rng, 3)
    dut = lists.dut
    sink = Sink(dut.o, 9)

    async def drive(ctx):
        lists.set_list(ctx)
        # A PACE that has been begun is ended; then comes CREDIT, then what was due before it.
        ctx.set(dut.is_high, 1)
        await ctx.tick().repeat(4)
        ctx.set(dut.is_high, 0)
        ctx.set(dut.is_low, 1)
        await lists.grant(ctx)

    simulate(dut, [drive, sink], limit=100, background=[lists])
    assert sink.items == lists.paces(1) + lists.credits() + lists.paces(0)


def test_sources_are_held_while_any_destination_asks(rng):
    dut = FlowControl(params=TINY)

    async def drive(ctx):
        holding = 0
        for _ in range(400):
            hold = int(rng.integers(0, 2)) if holding < 20 else 0
            go = int(not hold and holding > 0 and rng.integers(0, 2))
            ctx.set(dut.hold, hold)
            ctx.set(dut.go, go)
            ctx.set(dut.asks_hold, hold if hold or go else int(rng.integers(0, 2)))
            holding += hold - go
            await ctx.tick()
            assert ctx.get(dut.held) == (holding > 0)

    simulate(dut, [drive], limit=500)


@pytest.mark.parametrize("preset", PRESETS)
def test_flow_control_converts(preset):
    rtlil.convert(FlowControl(params=get_preset(preset)), emit_src=False)


def test_every_node_may_ask_to_hold_before_the_first_goes_on():
    """As many destinations as the count has values; the last that could be lost is refused."""
    dut, n_most = FlowControl(params=TINY), (1 << TINY.token_width) - 1

    async def pulses(ctx, signal):
        for left in reversed(range(n_most)):
            yield left
            ctx.set(dut.asks_hold, signal is dut.hold)
            ctx.set(signal, 1)
            await ctx.tick()
            ctx.set(signal, 0)

    async def drive(ctx):
        assert not ctx.get(dut.held) and not ctx.get(dut.may_go)
        async for _ in pulses(ctx, dut.hold):
            assert ctx.get(dut.may_hold)
        assert not ctx.get(dut.may_hold)
        async for _ in pulses(ctx, dut.go):
            assert ctx.get(dut.held) and ctx.get(dut.may_go)
        assert not ctx.get(dut.held) and not ctx.get(dut.may_go)
        assert ctx.get(dut.may_hold)

    simulate(dut, [drive], limit=4 * n_most)
