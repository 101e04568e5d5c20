# SPDX-License-Identifier: Apache-2.0
"""Spikes that wait for their loop nest."""

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from stemcore.golden.spec.fields import Formats
from stemcore.golden.spec.params import ChipParams

from ..layouts import spike_stream


class SpikeQueue(wiring.Component):
    """A first-in first-out queue of ``params.n_spikes`` spikes in block memory.

    Sources fire in bursts, several times faster than loop nests are done. What does not fit here
    waits in the mesh, in the way of everybody else's spikes: ``is_high`` and ``is_low`` are for
    asking sources to hold them in time. One spike a cycle in and out; a spike comes
    out two cycles after it went in or later. Outputs depend on registers only.

    Members
    -------
    i, o : ``spike_stream``
    idle : ``Out(1)``
        Nothing waits.
    quiet : ``Out(1)``
        Nothing waits, and all that is said of it here has come to rest.
    is_high, is_low : ``Out(1)``
        Half of the queue or more was in use two cycles ago; a quarter or less was.
    """

    def __init__(self, *, params: ChipParams):
        self._params = params
        super().__init__(
            {
                "i": In(spike_stream(params)),
                "o": Out(spike_stream(params)),
                "idle": Out(1),
                "quiet": Out(1),
                "is_high": Out(1),
                "is_low": Out(1, init=1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.fifo = fifo = SyncFIFOBuffered(
            width=Formats(self._params).spike.width, depth=self._params.n_spikes
        )
        m.d.comb += [
            fifo.w_data.eq(self.i.payload),
            fifo.w_en.eq(self.i.valid),
            self.i.ready.eq(fifo.w_rdy),
            self.o.payload.eq(fifo.r_data),
            self.o.valid.eq(fifo.r_rdy),
            fifo.r_en.eq(self.o.ready),
            self.idle.eq(fifo.level == 0),
        ]
        # In two steps: the level comes out of an adder.
        level = Signal.like(fifo.level)
        m.d.sync += [
            level.eq(fifo.level),
            self.is_high.eq(level >= self._params.n_spikes // 2),
            self.is_low.eq(level <= self._params.n_spikes // 4),
        ]
        m.d.comb += self.quiet.eq(self.idle & (level == 0) & ~self.is_high & self.is_low)
        return m
