# SPDX-License-Identifier: Apache-2.0
"""What flits wait in: the queue at every input of a router, the register at its outputs."""

from amaranth import C, Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out


class FlitQueue(wiring.Component):
    """First in, first out, with nothing combinational between its two sides.

    One item a cycle in and out; latency one cycle. ``i.ready``, ``o.valid`` and ``holds`` are
    registers, ``o.payload`` depends on registers only. So a full queue takes nothing in the cycle
    in which it gives an item away; two items are enough for full throughput all the same.

    Two items are kept in registers (on ECP5 one LUT a bit), more in distributed memory (the room of
    six LUTs for four bits).

    Parameters
    ----------
    shape : ShapeLike
        Shape of the payload.
    depth : int
        Items held; 2 or more, or the throughput would halve.

    Members
    -------
    i : ``In(stream)`` of ``shape``
    o : ``Out(stream)`` of ``shape``
    holds : ``Out(depth)``
        Bit k: more than k items are held.
    """

    def __init__(self, *, shape, depth: int):
        if depth < 2:
            raise ValueError(f"FlitQueue.depth: must be 2 or more, got {depth}")
        self._shape = shape
        self._depth = depth
        super().__init__(
            {
                "i": In(stream.Signature(shape)),
                "o": Out(stream.Signature(shape)),
                "holds": Out(depth),
            }
        )

    def elaborate(self, platform):
        m = Module()
        depth, holds = self._depth, self.holds
        push = Signal()
        pop = Signal()
        m.d.comb += [
            self.i.ready.eq(~holds[-1]),
            self.o.valid.eq(holds[0]),
            push.eq(self.i.valid & self.i.ready),
            pop.eq(self.o.valid & self.o.ready),
        ]
        # One expression, and no condition, since ``pop`` comes late in a cycle: synthesis makes
        # resets of conditions, which take longer than a lookup table.
        fewer, more = Cat(holds[1:], C(0, 1)), Cat(C(1, 1), holds[:-1])
        m.d.sync += holds.eq(
            fewer
            | (holds & (push | ~pop).replicate(depth))
            | (more & (push & ~pop).replicate(depth))
        )

        if depth == 2:
            # Items stay where they were put: when one is taken, which is known late in a cycle,
            # nothing as wide as an item has to follow.
            places = [Signal(self._shape, reset_less=True, name=f"place_{k}") for k in range(2)]
            newest = Signal()
            oldest = Signal()
            m.d.comb += self.o.payload.eq(Mux(oldest, places[1], places[0]))
            m.d.sync += [newest.eq(newest ^ push), oldest.eq(oldest ^ pop)]
            # A place that holds nothing follows the input; whether it was valid, ``holds`` tells.
            for k, place in enumerate(places):
                with m.If((newest == k) & ~holds[1]):
                    m.d.sync += place.eq(self.i.payload)
            return m

        m.submodules.storage = storage = Memory(shape=self._shape, depth=depth, init=[])
        write = storage.write_port()
        read = storage.read_port(domain="comb")
        m.d.comb += [
            write.data.eq(self.i.payload),
            write.en.eq(push),
            self.o.payload.eq(read.data),
        ]
        for name, moves, address in (("newest", push, write.addr), ("oldest", pop, read.addr)):
            place = Signal(range(depth), name=name)
            m.d.comb += address.eq(place)
            with m.If(moves):
                m.d.sync += place.eq(Mux(place == depth - 1, 0, place + 1))
        return m


class FlitRegister(wiring.Component):
    """A place for one item: it cuts the way of the payload, and lets ``ready`` through.

    One item a cycle; latency one cycle. ``o.valid`` and ``o.payload`` are registers, ``i.ready``
    depends on ``o.ready`` in the same cycle. ``o.payload`` is undefined while there is no item.

    Parameters
    ----------
    shape : ShapeLike
        Shape of the payload.

    Members
    -------
    i : ``In(stream)`` of ``shape``
    o : ``Out(stream)`` of ``shape``
    """

    def __init__(self, *, shape):
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.i.ready.eq(~self.o.valid | self.o.ready)
        with m.If(self.i.ready):
            m.d.sync += [self.o.valid.eq(self.i.valid), self.o.payload.eq(self.i.payload)]
        return m
