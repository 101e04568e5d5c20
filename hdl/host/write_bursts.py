# SPDX-License-Identifier: Apache-2.0
"""Bursts of the incoming stream become WRITE flits."""

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from stemcore.golden.spec.bursts import BURST, HEADER_KIND, WORD_WIDTH
from stemcore.golden.spec.fields import Formats, Kind
from stemcore.golden.spec.params import ChipParams
from stemcore.golden.spec.widths import CHUNK_WIDTH

from ..layouts import flit_stream, struct


class WriteBursts(wiring.Component):
    """What ``stemcore.golden.spec.bursts`` describes; other flits pass. A flit a cycle, no latency.

    A word of data is taken with the last of its flits. ``i.ready`` depends on ``o.ready`` and on
    registers alone.

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
        Drops what is left of a burst.
    raw : ``Out(1)``
        ``word`` is taken next, whatever it is: it is of a burst.
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
                "o": Out(flits),
                "beyond": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        burst = struct(BURST)
        flit, out = self.i.payload, self.o.payload
        nodes = Signal(struct(self._formats.rectangle))
        left = Signal(burst["count"].shape)
        is_high = Signal()
        is_header = Signal()
        is_wrong = Signal()
        ends_word = Signal()
        takes = Signal()
        m.d.comb += [
            self.raw.eq(left != 0),
            is_header.eq(~self.raw & ~self.passes & (flit.kind == HEADER_KIND.value)),
            is_wrong.eq(flit.payload[burst.size :].any()),
            ends_word.eq(is_high | (left == 1)),
            takes.eq(self.i.valid & self.o.ready),
            self.i.ready.eq(self.o.ready & (~self.raw | ends_word)),
            self.o.valid.eq(self.i.valid & ~is_header),
            self.beyond.eq(takes & is_header & is_wrong),
            out.eq(flit),
        ]
        with m.If(self.raw):
            m.d.comb += [
                out.kind.eq(Kind.WRITE.value),
                *(out[name].eq(nodes[name]) for name in nodes.shape().members),
                out.payload.eq(self.word.word_select(is_high, CHUNK_WIDTH)),
            ]
        with m.If(self.clear):
            m.d.sync += [left.eq(0), is_high.eq(0)]
        with m.Elif(takes & self.raw):
            m.d.sync += [left.eq(left - 1), is_high.eq(~ends_word)]
        with m.Elif(takes & is_header):
            m.d.sync += [
                left.eq(Mux(is_wrong, 0, flit.payload)),
                *(nodes[name].eq(flit[name]) for name in nodes.shape().members),
            ]
        return m
