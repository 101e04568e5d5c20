# SPDX-License-Identifier: Apache-2.0
"""Spikes that wait for their loop nest."""

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory as RAM
from amaranth.lib.wiring import In, Out

from stemcore.golden.spec.fields import Formats
from stemcore.golden.spec.params import ChipParams

from ..layouts import spike_stream


class SpikeQueue(wiring.Component):
    """A first-in first-out queue of ``params.n_spikes`` spikes in block memory.

    Sources fire in bursts, several times faster than loop nests are done. What does not fit here
    waits in the mesh, in the way of everybody else's spikes: ``is_high`` and ``is_low`` are for
    asking sources to hold them in time. One spike a cycle in and out; a spike comes
    out two cycles after it went in or later. Outputs depend on registers only: the memory, whose
    answer is late in a cycle, is read a cycle ahead. Its word goes to a register without logic
    between, for which an FPGA takes the memory's own; a spike that comes into an empty queue goes
    past the memory to another register.

    Members
    -------
    i, o : ``spike_stream``
    keep : ``In(1)``
        The spike that ``i`` hands over is kept, else it is dropped. It may come late in the cycle:
        the spike is written anyhow, and whether it counts is a register.
    idle : ``Out(1)``
        Nothing waits.
    quiet : ``Out(1)``
        Nothing waits, and all that is said of it here has come to rest.
    is_high, is_low : ``Out(1)``
        Half of the queue or more was in use two cycles ago; a quarter or less was.
    """

    def __init__(self, *, params: ChipParams):
        if params.n_spikes < 2:
            raise ValueError(f"ChipParams.n_spikes: must be 2 or more, got {params.n_spikes}")
        self._params = params
        super().__init__(
            {
                "i": In(spike_stream(params)),
                "keep": In(1, init=1),
                "o": Out(spike_stream(params)),
                "idle": Out(1),
                "quiet": Out(1),
                "is_high": Out(1),
                "is_low": Out(1, init=1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        # One spike waits at the output.
        depth = self._params.n_spikes - 1
        m.submodules.storage = storage = RAM(
            shape=Formats(self._params).spike.width, depth=depth, init=[]
        )
        write, read = storage.write_port(), storage.read_port()
        produce = Signal(range(depth))
        consume = Signal(range(depth))
        stored = Signal(range(depth + 1))  # in the memory, but for the one that has arrived
        written = Signal()
        kept = Signal()
        arrived = Signal()  # a spike was written in the cycle before, and counts from now on
        place = Signal.like(produce)
        offers = Signal()  # what the output's register holds
        takes = Signal()
        # Registers, since both are asked for where a spike is taken: is any in the memory, and the
        # place after ``consume``.
        holds = Signal()
        following = Signal.like(consume, init=_following(0, depth))
        # A register too: whoever offers a spike waits for it. What is just written counts as kept.
        ready = Signal(init=1)
        # What is written now can be read from the next cycle on, and be taken then already.
        newest = Signal(storage.shape, reset_less=True)
        early = Signal(storage.shape)
        from_memory = Signal(storage.shape, reset_less=True)
        overtook = Signal(storage.shape, reset_less=True)
        has_overtaken = Signal(reset_less=True)
        m.d.comb += [
            self.i.ready.eq(ready),
            arrived.eq(written & kept),
            place.eq(Mux(arrived, _following(produce, depth), produce)),
            write.addr.eq(place),
            write.data.eq(self.i.payload),
            write.en.eq(self.i.valid & self.i.ready),
            takes.eq((holds | arrived) & (~offers | self.o.ready)),
            # The oldest word waits at the memory's output. Whether it is taken is known late in a
            # cycle, and only enables the read of the next: the address is known before. While the
            # memory is empty, a spike that has just arrived is read, in case it has to wait.
            read.addr.eq(Mux(holds, following, consume)),
            read.en.eq(Mux(holds, takes, arrived)),
            early.eq(read.data),
            self.o.payload.eq(Mux(has_overtaken, overtook, from_memory)),
            self.o.valid.eq(offers),
            self.idle.eq(~holds & ~arrived & ~offers),
        ]
        is_full, lacks_one, lacks_two = (stored == depth - n for n in range(3))
        will_be_full = (
            (is_full & ~takes)
            | (lacks_one & ((arrived & write.en) | ((arrived | write.en) & ~takes)))
            | (lacks_two & arrived & write.en & ~takes)
        )
        m.d.sync += [written.eq(write.en), produce.eq(place), ready.eq(~will_be_full)]
        with m.If(write.en):
            m.d.sync += [kept.eq(self.keep), newest.eq(self.i.payload)]
        with m.If(takes):
            m.d.sync += [
                consume.eq(following),
                following.eq(_following(following, depth)),
                has_overtaken.eq(~holds),
                from_memory.eq(early),
                overtook.eq(newest),
                offers.eq(1),
            ]
        with m.Elif(self.o.ready):
            m.d.sync += offers.eq(0)
        with m.If(arrived & ~takes):
            m.d.sync += [stored.eq(stored + 1), holds.eq(1)]
        with m.Elif(takes & ~arrived):
            m.d.sync += [stored.eq(stored - 1), holds.eq(stored != 1)]
        # In two steps: the level comes out of an adder.
        level = Signal(range(self._params.n_spikes + 1))
        m.d.sync += [
            level.eq(stored + (arrived + offers)),
            self.is_high.eq(level >= self._params.n_spikes // 2),
            self.is_low.eq(level <= self._params.n_spikes // 4),
        ]
        m.d.comb += self.quiet.eq(self.idle & (level == 0) & ~self.is_high & self.is_low)
        return m


def _following(place, depth):
    """The place after ``place`` in a ring of ``depth``."""
    if isinstance(place, int):
        return (place + 1) % depth
    return Mux(place == depth - 1, 0, place + 1)
