# SPDX-License-Identifier: Apache-2.0
"""Adds a word of values to a word of a memory in every cycle, whatever the addresses are."""

from amaranth import C, Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory as RAM
from amaranth.lib.wiring import In, Out

from ..platforms import MACHINE_WORD, PROCESSOR

GROUP = 8  # lanes that share one copy of the controls: bounds the fan-out of each copy


class AccumulateLanes(wiring.Component):
    """The adders of some lanes of :class:`AccumulateLoop`, with their own copy of its controls.

    An addition is here for five cycles: ``read`` in cycle 0, ``stored`` comes in cycle 1,
    ``addend`` in cycle 2, both are added in cycle 3, the sum leaves in cycle 4. What ``stored``
    says goes to a register and nowhere else, which block memories of FPGAs have built in and are
    slow without; what is written comes from a register too, since they may lie far away.

    Parameters
    ----------
    width, n_lanes : int
        Bits of a sum, and sums.

    Members
    -------
    read : ``In(1)``
        The memory gives its word on ``stored`` in the next cycle.
    stored : ``In(word)``
        Read data of the memory.
    fetched : ``Out(word)``
        The word read last, from the third cycle after ``read``.
    add, addend : ``In(1)``, ``In(word)``
        One cycle after ``stored``: values to add to it.
    first, early : ``In(1)``
        With ``stored``: take the sum of four cycles, of three before this addition's instead.
    middle, late : ``In(1)``
        With ``addend``: the sum of two cycles, of one before. Of several, the latest counts.
    sums : ``Out(word)``
        The sums, two cycles after ``add``, wrapped. Registers.
    clear : ``In(1)``
        Makes ``sums`` zero in the next cycle. Not together with an addition.
    overflow : ``Out(1)``
        With ``sums``: one has wrapped. Combinational from registers.
    """

    def __init__(self, *, width: int, n_lanes: int):
        self._width, self._n_lanes = width, n_lanes
        word = data.ArrayLayout(signed(width), n_lanes)
        super().__init__(
            {
                "read": In(1),
                "stored": In(word),
                "fetched": Out(word),
                "add": In(1),
                "addend": In(word),
                "first": In(1),
                "early": In(1),
                "middle": In(1),
                "late": In(1),
                "sums": Out(word),
                "clear": In(1),
                "overflow": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        read_v = Signal()
        word_v = Signal()
        add_v = Signal()
        store_v = Signal()
        late = Signal(reset_less=True)
        is_forwarded = Signal(reset_less=True)
        m.d.sync += [
            read_v.eq(self.read),
            word_v.eq(read_v),
            add_v.eq(self.add),
            store_v.eq(add_v),
            late.eq(self.late),
            is_forwarded.eq(self.first | self.early),
        ]
        # A processor keeps a word in as many instructions as its highest bit.
        wraps_width = self._width if platform == PROCESSOR else 1
        any_wraps = C(0)
        for i in range(self._n_lanes):
            fetched, forwarded, word, addend, latest, previous = (
                Signal(signed(self._width), name=f"{name}_{i}", reset_less=True)
                for name in ("fetched", "forwarded", "word", "addend", "latest", "previous")
            )
            base, total = (
                Signal(signed(self._width), name=f"{name}_{i}") for name in ("base", "total")
            )
            differs = Signal(self._width, name=f"differs_{i}")
            wraps = Signal(wraps_width, name=f"wraps_{i}", reset_less=True)
            m.d.comb += [
                base.eq(Mux(late, latest, word)),
                total.eq(base + addend),
                # A sum whose sign is that of neither operand has wrapped.
                differs.eq((base ^ total) & (addend ^ total)),
                self.fetched[i].eq(word),
                self.sums[i].eq(latest),
            ]
            with m.If(read_v):
                m.d.sync += [
                    fetched.eq(self.stored[i]),
                    forwarded.eq(Mux(self.early, latest, previous)),
                ]
            with m.If(word_v):
                m.d.sync += word.eq(Mux(self.middle, latest, Mux(is_forwarded, forwarded, fetched)))
            with m.If(self.add):
                m.d.sync += addend.eq(self.addend[i])
            with m.If(self.clear):
                m.d.sync += latest.eq(0)
            with m.Elif(add_v):
                m.d.sync += latest.eq(total)
            with m.If(store_v):
                m.d.sync += previous.eq(latest)
            with m.If(add_v):
                m.d.sync += wraps.eq(differs[-wraps_width:])
            any_wraps |= wraps
        m.d.comb += self.overflow.eq(store_v & any_wraps[-1])
        return m


class AccumulateLoop(wiring.Component):
    """Memory of words of sums: ``memory[address] += addend``, one addition a cycle, no stalls.

    An addition enters with ``valid`` in cycle 0, reads in cycle 2, is added in cycle 5 and written
    at the end of cycle 6. It sees every addition that entered before it: those of the four cycles
    before it, which it cannot have read, are forwarded. A word that is read while it is written is
    one of these, so the memory may give anything then.

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
        Every addition that entered before this cycle is in the memory, and its ``overflow`` shown.
    overflow : ``Out(1)``
        Seven cycles after ``valid``: the exact sum of some lane did not fit, and was wrapped.
    update_read, update_address : ``In``
        Reads a word; only while idle.
    update_data : ``Out``
        The word, three cycles after ``update_read``, until two cycles after the next read or
        addition.
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
                "update_read": In(1),
                "update_address": In(range(n_words)),
                "update_data": Out(word),
                "clear": In(1),
                "clear_address": In(range(n_words)),
            }
        )

    def is_hit(self, distance, valid, address):
        """Has stage 2 the address of the addition that entered ``distance`` cycles earlier?"""
        older = 2 + distance
        return valid[older] & (address[older] == address[2])

    def elaborate(self, platform):
        m = Module()
        # A processor takes a lane out of a word at once if the lane has machine words to itself.
        machine_words = -(-self._width // MACHINE_WORD)
        stride = machine_words * MACHINE_WORD if platform == PROCESSOR else self._width
        m.submodules.ram = ram = RAM(shape=self._n_lanes * stride, depth=self._n_words, init=[])
        write, read = ram.write_port(), ram.read_port()
        # Ports that a comprehension names would lose their names in the Verilog.
        written, stored = write.data, read.data

        # Stage k holds the addition that entered k cycles ago; stage 6 writes and tells overflow.
        valid, address = [self.valid], [self.address]
        for stage in range(1, 7):
            valid.append(Signal(name=f"valid_{stage}"))
            m.d.sync += valid[stage].eq(valid[stage - 1])
        for stage in range(1, 7):
            address.append(Signal.like(self.address, name=f"address_{stage}", reset_less=True))
            with m.If(valid[stage - 1]):
                m.d.sync += address[stage].eq(address[stage - 1])
        # What an addition takes from those before it: of some in stage 3, of others in stage 4.
        forward = {}
        for distance, name in ((1, "late"), (2, "middle"), (3, "early"), (4, "first")):
            forward[name] = hit = Signal(name=f"hit_{distance}", reset_less=True)
            m.d.sync += hit.eq(self.is_hit(distance, valid, address))
            if distance < 3:
                forward[name] = Signal(name=f"forward_{name}", reset_less=True)
                m.d.sync += forward[name].eq(hit)

        zeroed = Signal()
        m.d.sync += zeroed.eq(self.clear)
        with m.If(self.clear):
            m.d.sync += address[6].eq(self.clear_address)
        m.d.comb += [
            read.addr.eq(Mux(self.update_read, self.update_address, address[2])),
            read.en.eq(valid[2] | self.update_read),
            write.addr.eq(address[6]),
            write.en.eq(valid[6] | zeroed),
            self.idle.eq(~Cat(valid[1:]).any()),
        ]

        overflows = []
        for first in range(0, self._n_lanes, GROUP):
            n_lanes = min(GROUP, self._n_lanes - first)
            lanes = AccumulateLanes(width=self._width, n_lanes=n_lanes)
            m.submodules[f"lanes_{first}"] = lanes
            part = slice(first * self._width, (first + n_lanes) * self._width)
            starts = range(first * stride, (first + n_lanes) * stride, stride)
            m.d.comb += [
                lanes.read.eq(read.en),
                lanes.stored.eq(Cat(stored[start:][: self._width] for start in starts)),
                self.update_data.as_value()[part].eq(lanes.fetched),
                lanes.add.eq(valid[4]),
                lanes.addend.eq(self.addend.as_value()[part]),
                *(getattr(lanes, name).eq(signal) for name, signal in forward.items()),
                lanes.clear.eq(self.clear),
                *(
                    written[start:][: self._width].eq(total)
                    for start, total in zip(starts, lanes.sums, strict=True)
                ),
            ]
            overflows.append(lanes.overflow)
        m.d.sync += self.overflow.eq(Cat(overflows).any())
        return m
