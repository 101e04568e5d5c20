# SPDX-License-Identifier: Apache-2.0
"""Spikes that wait for their walk."""

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from golden.fields import Formats
from golden.params import ChipParams

from ..layouts import spike_stream


class SpikeQueue(wiring.Component):
    """A first-in first-out queue of ``params.n_spikes`` spikes in block memory.

    Sources fire in bursts, several times faster than walks are done. What does not fit here waits
    in the mesh, in the way of everybody else's spikes. One spike a cycle in and out; a spike comes
    out two cycles after it went in or later. Outputs depend on registers only.

    Members
    -------
    i, o : ``spike_stream``
    idle : ``Out(1)``
        Nothing waits.
    """

    def __init__(self, *, params: ChipParams):
        self._params = params
        super().__init__(
            {"i": In(spike_stream(params)), "o": Out(spike_stream(params)), "idle": Out(1)}
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
        return m
