# SPDX-License-Identifier: Apache-2.0
"""Bursts of the incoming stream become WRITE flits."""

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from stemcore.golden.spec.bursts import BURST, HEADER_KIND
from stemcore.golden.spec.fields import Formats, Kind
from stemcore.golden.spec.params import ChipParams
from stemcore.golden.spec.widths import CHUNK_WIDTH

from ..layouts import flit_stream, struct
from .stream_in import WORD_WIDTH


class WriteBursts(wiring.Component):
    """What ``stemcore.golden.spec.bursts`` describes; other flits pass, without latency.

    A word of data is taken with the first of its flits; the second goes in the next cycle, from a
    register, so that nothing that comes on the stream can keep it waiting. ``i.ready`` depends on
    ``o.ready`` and on registers alone.

    Parameters
    ----------
    params : ChipParams

    Members
    -------
    i : ``In(stream)`` of flits, word : ``In(64)``
        From the host: the same as a flit and as it came. ``valid`` may go.
    passes : ``In(1)``
        What is taken next is no header, whatever its kind.
    clear : ``In(1)``
        Ends a burst.
    raw : ``Out(1)``
        ``word`` is taken next, whatever it is: it is of a burst.
    stops : ``Out(1)``
        A burst ends in this cycle before all its words have come.
    o : ``Out(stream)`` of flits
        ``valid`` may go without the flit having been taken, where that of ``i`` does.
    beyond : ``Out(1)``
        A header had bits beyond its count, and was dropped.
    """

    def __init__(self, *, params: ChipParams):
        self._formats = Formats(params)
        flits = flit_stream(params)
        super().__init__(
            {
                "i": In(flits),
                "word": In(WORD_WIDTH),
                "passes": In(1),
                "clear": In(1),
                "raw": Out(1),
                "stops": Out(1),
                "o": Out(flits),
                "beyond": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        burst = struct(BURST)
        flit, out = self.i.payload, self.o.payload
        nodes = Signal(struct(self._formats.rectangle))
        left = Signal(burst["count"].shape)  # WRITEs whose data has not been taken
        high = Signal(CHUNK_WIDTH)  # data of the second flit of a word
        has_high = Signal()
        is_header = Signal()
        is_wrong = Signal()
        takes = Signal()
        m.d.comb += [
            self.raw.eq(left != 0),
            self.stops.eq(self.raw & self.clear),
            is_header.eq(~self.raw & ~self.passes & (flit.kind == HEADER_KIND.value)),
            is_wrong.eq(flit.payload[burst.size :].any()),
            self.i.ready.eq(self.o.ready & ~has_high),
            takes.eq(self.i.valid & self.i.ready),
            self.o.valid.eq(has_high | (self.i.valid & ~is_header)),
            self.beyond.eq(takes & is_header & is_wrong),
            out.eq(flit),
        ]
        with m.If(self.raw | has_high):
            m.d.comb += [
                out.kind.eq(Kind.WRITE.value),
                *(out[name].eq(nodes[name]) for name in nodes.shape().members),
                out.payload.eq(Mux(has_high, high, self.word[:CHUNK_WIDTH])),
            ]
        with m.If(has_high & self.o.ready):
            m.d.sync += has_high.eq(0)
        with m.If(takes & self.raw):
            m.d.sync += [
                high.eq(self.word[CHUNK_WIDTH:]),
                has_high.eq(left != 1),
                left.eq(Mux(left == 1, 0, left - 2)),
            ]
        with m.If(takes & is_header):
            m.d.sync += [
                left.eq(Mux(is_wrong, 0, flit.payload)),
                *(nodes[name].eq(flit[name]) for name in nodes.shape().members),
            ]
        with m.If(self.clear):
            m.d.sync += [left.eq(0), has_high.eq(0)]
        return m
