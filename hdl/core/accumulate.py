# SPDX-License-Identifier: Apache-2.0
"""Adds a word of values to a word of a memory in every cycle, whatever the addresses are."""

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory as RAM
from amaranth.lib.wiring import In, Out

GROUP = 8  # lanes that share one copy of the controls: bounds the fan-out of each copy


class AccumulateLanes(wiring.Component):
    """The adders of some lanes of :class:`AccumulateLoop`, with their own copy of its controls.

    Parameters
    ----------
    width, n_lanes : int
        Bits of a sum, and sums.

    Members
    -------
    fetch : ``In(1)``
        The memory's word is on ``stored`` in the next cycle.
    stored : ``In(word)``
        Read data of the memory.
    fetched : ``Out(word)``
        The word fetched last, from the second cycle after ``fetch``.
    add : ``In(1)``
        ``addend`` is there in the next cycle.
    select : ``In(2)``
        With ``add``. What to add to: 0, the word fetched; 1, 2, 3, the sum of so many cycles ago.
    addend : ``In(word)``
        Values to add.
    total : ``Out(word)``
        The sums, in the second cycle after ``add``; wrapped.
    clear : ``In(1)``
        Makes ``total`` zero in the next cycle. Not together with an addition.
    overflow : ``Out(1)``
        With ``total``: a sum has wrapped.
    """

    def __init__(self, *, width: int, n_lanes: int):
        self._width, self._n_lanes = width, n_lanes
        word = data.ArrayLayout(signed(width), n_lanes)
        super().__init__(
            {
                "fetch": In(1),
                "stored": In(word),
                "fetched": Out(word),
                "add": In(1),
                "select": In(2),
                "addend": In(word),
                "total": Out(word),
                "clear": In(1),
                "overflow": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        fetch_v = Signal()
        add_v, store_v, kept_v = Signal(), Signal(), Signal()
        select = Signal(2, reset_less=True)
        m.d.sync += [
            fetch_v.eq(self.fetch),
            add_v.eq(self.add),
            store_v.eq(add_v),
            kept_v.eq(store_v),
            select.eq(self.select),
        ]
        wraps = []
        for i in range(self._n_lanes):
            word, total, total_2, total_3 = (
                Signal(signed(self._width), name=f"{name}_{i}", reset_less=True)
                for name in ("word", "total", "total_2", "total_3")
            )
            base = Signal(signed(self._width), name=f"base_{i}")
            addend = Signal(signed(self._width), name=f"addend_{i}")
            like = Signal(name=f"like_{i}", reset_less=True)
            sign = Signal(name=f"sign_{i}", reset_less=True)
            m.d.comb += addend.eq(self.addend[i])
            near, far = Mux(select[0], total, word), Mux(select[0], total_3, total_2)
            m.d.comb += base.eq(Mux(select[1], far, near))
            with m.If(fetch_v):
                m.d.sync += word.eq(self.stored[i])
            with m.If(add_v):
                m.d.sync += [
                    total.eq(base + addend),
                    sign.eq(base[-1]),
                    like.eq(base[-1] == addend[-1]),
                ]
            with m.If(self.clear):
                m.d.sync += total.eq(0)
            with m.If(store_v):
                m.d.sync += total_2.eq(total)
            with m.If(kept_v):
                m.d.sync += total_3.eq(total_2)
            wraps.append(like & (total[-1] != sign))
            m.d.comb += [self.fetched[i].eq(word), self.total[i].eq(total)]
        m.d.comb += self.overflow.eq(store_v & Cat(wraps).any())
        return m


class AccumulateLoop(wiring.Component):
    """Memory of words of sums: ``memory[address] += addend``, one addition a cycle, no stalls.

    An addition enters with ``valid`` in cycle 0, reads in cycle 2, adds in cycle 4 and is written
    at the end of cycle 5; the three before it are forwarded. It sees every addition that entered
    before it.

    Parameters
    ----------
    n_words, n_lanes, width : int
        Words of the memory, lanes of a word, bits of a lane.

    Members
    -------
    valid, address : ``In``
        An addition enters.
    addend : ``In``
        One value a lane, for the addition that entered four cycles ago.
    idle : ``Out(1)``
        Every addition that entered before this cycle is in the memory, and its ``overflow`` told.
    overflow : ``Out(1)``
        Six cycles after ``valid``: the exact sum of some lane did not fit, and was wrapped.
    sweep_read, sweep_address : ``In``
        Reads a word; only while idle.
    sweep_data : ``Out``
        The word, two cycles after ``sweep_read``, until the next read or addition.
    clear, clear_address : ``In``
        Zeroes a word; only while idle. A read sees it from the second cycle on.
    """

    def __init__(self, *, n_words: int, n_lanes: int, width: int):
        self._n_words, self._n_lanes, self._width = n_words, n_lanes, width
        word = data.ArrayLayout(signed(width), n_lanes)
        super().__init__(
            {
                "valid": In(1),
                "address": In(range(n_words)),
                "addend": In(word),
                "idle": Out(1),
                "overflow": Out(1),
                "sweep_read": In(1),
                "sweep_address": In(range(n_words)),
                "sweep_data": Out(word),
                "clear": In(1),
                "clear_address": In(range(n_words)),
            }
        )

    def select(self, hits):
        """Where an addition finds its word, as ``AccumulateLanes.select``: the latest sum counts.

        ``hits[k]``: the addition ``k + 1`` cycles earlier has the same address.
        """
        return Mux(hits[0], 1, Mux(hits[1], 2, Mux(hits[2], 3, 0)))

    def elaborate(self, platform):
        m = Module()
        word_width = self._n_lanes * self._width
        m.submodules.ram = ram = RAM(shape=word_width, depth=self._n_words, init=[])
        write, read = ram.write_port(), ram.read_port()

        # Stage k holds the addition that entered k cycles ago; stage 5 writes.
        valid, address = [self.valid], [self.address]
        for stage in range(1, 6):
            valid.append(Signal(name=f"valid_{stage}"))
            address.append(Signal.like(self.address, name=f"address_{stage}", reset_less=True))
            m.d.sync += valid[stage].eq(valid[stage - 1])
            with m.If(valid[stage - 1]):
                m.d.sync += address[stage].eq(address[stage - 1])
        hits = Signal(3, reset_less=True)
        select = Signal(2, reset_less=True)
        m.d.sync += select.eq(self.select(hits))
        for distance in (1, 2, 3):
            older = 1 + distance
            m.d.sync += hits[distance - 1].eq(valid[older] & (address[older] == address[1]))

        zeroed = Signal()
        m.d.sync += zeroed.eq(self.clear)
        with m.If(self.clear):
            m.d.sync += address[5].eq(self.clear_address)
        m.d.comb += [
            read.addr.eq(Mux(self.sweep_read, self.sweep_address, address[2])),
            read.en.eq(valid[2] | self.sweep_read),
            write.addr.eq(address[5]),
            write.en.eq(valid[5] | zeroed),
            self.idle.eq(~Cat(valid[1:]).any()),
        ]

        overflows = []
        for first in range(0, self._n_lanes, GROUP):
            n_lanes = min(GROUP, self._n_lanes - first)
            lanes = AccumulateLanes(width=self._width, n_lanes=n_lanes)
            m.submodules[f"lanes_{first}"] = lanes
            part = slice(first * self._width, (first + n_lanes) * self._width)
            m.d.comb += [
                lanes.fetch.eq(read.en),
                lanes.stored.eq(read.data[part]),
                self.sweep_data.as_value()[part].eq(lanes.fetched),
                lanes.add.eq(valid[3]),
                lanes.select.eq(select),
                lanes.addend.eq(self.addend.as_value()[part]),
                lanes.clear.eq(self.clear),
                write.data[part].eq(lanes.total),
            ]
            overflows.append(lanes.overflow)
        m.d.sync += self.overflow.eq(Cat(overflows).any())
        return m
