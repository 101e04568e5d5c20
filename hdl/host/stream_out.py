# SPDX-License-Identifier: Apache-2.0
"""Words of 64 bits, flits for the most part, become beats of AXI4-Stream."""

from amaranth import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .axi import AxiStream
from .stream_in import WORD_WIDTH


class StreamOut(wiring.Component):
    """A word of 64 bits is one beat or two, lowest bits first. Latency one cycle.

    One beat a cycle. TKEEP is all ones. All outputs of ``o`` are registers.

    Parameters
    ----------
    data_width : int
        Of a beat, 32 or 64.

    Members
    -------
    i : ``In(stream)`` of words
        ``ready`` depends on ``o.tready``.
    is_last : ``In(1)``
        The word at ``i`` is the last of its packet.
    o : ``Out(AxiStream)``
    """

    def __init__(self, *, data_width: int):
        super().__init__(
            {
                "i": In(stream.Signature(WORD_WIDTH)),
                "is_last": In(1),
                "o": Out(AxiStream(data_width=data_width)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        beat = self.o
        word = self.i.payload
        m.d.comb += beat.tkeep.eq(-1)
        moves = Signal()
        m.d.comb += moves.eq(~beat.tvalid | beat.tready)
        if len(beat.tdata) == WORD_WIDTH:
            m.d.comb += self.i.ready.eq(moves)
            with m.If(moves):
                m.d.sync += [
                    beat.tvalid.eq(self.i.valid),
                    beat.tdata.eq(word),
                    beat.tlast.eq(self.is_last),
                ]
            return m
        # The upper half waits behind the lower one.
        upper = Signal.like(beat.tdata)
        has_upper = Signal()
        upper_is_last = Signal()
        m.d.comb += self.i.ready.eq(moves & ~has_upper)
        with m.If(moves):
            with m.If(has_upper):
                m.d.sync += [beat.tdata.eq(upper), beat.tlast.eq(upper_is_last), has_upper.eq(0)]
            with m.Else():
                m.d.sync += [
                    beat.tvalid.eq(self.i.valid),
                    has_upper.eq(self.i.valid),
                    beat.tdata.eq(word),
                    beat.tlast.eq(0),
                    upper.eq(word[len(beat.tdata) :]),
                    upper_is_last.eq(self.is_last),
                ]
        return m
