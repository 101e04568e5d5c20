# SPDX-License-Identifier: Apache-2.0
"""A queue whose slots are reserved before their contents exist."""

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory as RAM
from amaranth.lib.wiring import In, Out


class ReservedQueue(wiring.Component):
    """Catches what a pipeline delivers that cannot stall.

    Before an item enters the pipeline it reserves a slot; at the pipeline's end it fills the slot
    with ``push``, or gives it back with ``cancel``. It can be popped in the cycle after ``push``;
    its slot is there again two cycles after ``pop``, which may come late in a cycle.

    Parameters
    ----------
    shape : ShapeLike
        Of an item.
    depth : int
        Slots, a power of two; at most 16 lie in one row of distributed memory.

    Members
    -------
    room, reserve : ``Out(1)``, ``In(1)``
        A slot is there; take it. Only if ``room``.
    push, i : ``In``
        Fill the oldest slot that is neither filled nor given back.
    cancel : ``In(1)``
        Give that slot back. Not together with ``push``.
    valid, o : ``Out``
        The oldest item.
    pop : ``In(1)``
        Remove it. Only if ``valid``.
    idle : ``Out(1)``
        No slot is taken, nor was one until the last cycle.
    """

    def __init__(self, *, shape, depth: int):
        if depth < 2 or depth & (depth - 1):
            raise ValueError(f"ReservedQueue: depth must be a power of two above 1, got {depth}")
        self._shape, self._depth = shape, depth
        super().__init__(
            {
                "room": Out(1, init=1),
                "reserve": In(1),
                "push": In(1),
                "i": In(shape),
                "cancel": In(1),
                "valid": Out(1),
                "o": Out(shape),
                "pop": In(1),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.ram = ram = RAM(shape=self._shape, depth=self._depth, init=[])
        write, read = ram.write_port(), ram.read_port(domain="comb")
        n_free = Signal(range(self._depth + 1), init=self._depth)
        # One bit more than an address tells full from empty.
        first = Signal(range(2 * self._depth))
        end = Signal(range(2 * self._depth))
        m.d.comb += [
            self.idle.eq(n_free == self._depth),
            self.valid.eq(first != end),
            write.addr.eq(end),
            write.data.eq(self.i),
            write.en.eq(self.push),
            read.addr.eq(first),
            self.o.eq(read.data),
        ]
        popped = Signal()
        # Whether a slot is reserved or given back is known late in a cycle: it chooses, and does
        # not go through an adder. Whether there is room is a register, since whoever reserves waits
        # for that: a slot given back is room, whatever else happens.
        before = Signal.like(n_free)
        is_last = ~n_free[1:].any()
        m.d.comb += before.eq(n_free + popped)
        m.d.sync += [
            popped.eq(self.pop),
            self.room.eq(popped | self.cancel | ~is_last | (n_free[0] & ~self.reserve)),
        ]
        with m.If(self.reserve & ~self.cancel):
            m.d.sync += n_free.eq(before - 1)
        with m.Elif(self.cancel & ~self.reserve):
            m.d.sync += n_free.eq(before + 1)
        with m.Else():
            m.d.sync += n_free.eq(before)
        with m.If(self.pop):
            m.d.sync += first.eq(first + 1)
        with m.If(self.push):
            m.d.sync += end.eq(end + 1)
        return m
