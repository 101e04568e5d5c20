# SPDX-License-Identifier: Apache-2.0
"""The queue at every input of a router."""

from amaranth import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out


class FlitQueue(wiring.Component):
    """First in, first out, with nothing combinational between its two sides.

    One item a cycle in and out at any fill; latency one cycle. ``i.ready`` and ``o.valid`` are
    registers; ``o.payload`` is a read of distributed memory at a registered address. So a full
    queue takes nothing in the cycle in which it gives an item away.

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
    """

    def __init__(self, *, shape, depth: int):
        if depth < 2:
            raise ValueError(f"FlitQueue.depth: must be 2 or more, got {depth}")
        self._shape = shape
        self._depth = depth
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform):
        m = Module()
        depth = self._depth
        m.submodules.storage = storage = Memory(shape=self._shape, depth=depth, init=[])
        write = storage.write_port()
        read = storage.read_port(domain="comb")

        def after(address):
            return Mux(address == depth - 1, 0, address + 1)

        tail, head = Signal(range(depth)), Signal(range(depth))
        is_full, is_occupied = Signal(), Signal()
        push, pop = Signal(), Signal()
        m.d.comb += [
            self.i.ready.eq(~is_full),
            self.o.valid.eq(is_occupied),
            push.eq(self.i.valid & ~is_full),
            pop.eq(self.o.ready & is_occupied),
            write.addr.eq(tail),
            write.data.eq(self.i.payload),
            write.en.eq(push),
            read.addr.eq(head),
            self.o.payload.eq(read.data),
        ]
        with m.If(push):
            m.d.sync += tail.eq(after(tail))
        with m.If(pop):
            m.d.sync += head.eq(after(head))
        # The addresses meet when a push alone fills the queue, or a pop alone empties it.
        with m.If(push & ~pop):
            m.d.sync += [is_occupied.eq(1), is_full.eq(after(tail) == head)]
        with m.If(pop & ~push):
            m.d.sync += [is_full.eq(0), is_occupied.eq(after(head) != tail)]
        return m
