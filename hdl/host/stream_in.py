# SPDX-License-Identifier: Apache-2.0
"""Beats of AXI4-Stream become flits."""

from amaranth import Cat, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from stemcore.golden.spec.fields import Formats
from stemcore.golden.spec.params import ChipParams

from ..layouts import flit_stream
from .axi import AxiStream

WORD_WIDTH = 64  # a flit on a stream, the lowest bits first; bits beyond the flit are zero
STREAM_FAULTS = data.StructLayout({"keep": 1, "truncated": 1, "beyond": 1})


class StreamIn(wiring.Component):
    """A word of 64 bits, in one beat or two, is a flit. One beat a cycle, no latency.

    A beat whose TKEEP is zero holds nothing. A word with a beat whose TKEEP is neither zero nor all
    ones is dropped, and so are a word with bits beyond a flit's, and the first half of a word with
    TLAST: the next beat begins a word. TLAST has no other meaning here: packets end where the host
    likes. While ``raw``, words may have any bits.

    Parameters
    ----------
    params : ChipParams
    data_width : int
        Of a beat, 32 or 64.

    Members
    -------
    i : ``In(AxiStream)``
        ``tready`` depends on ``o.ready`` and ``hold`` alone.
    o : ``Out(stream)`` of flits
        ``valid`` may go without the flit having been taken, when ``hold`` comes.
    word : ``Out(64)``
        The word of the flit at ``o``.
    raw : ``In(1)``
        A word is what is taken next, and no flit: nothing of it is dropped.
    hold : ``In(1)``
        Takes no beat in this cycle.
    discard : ``In(1)``
        The word that has begun to come, if one has, is no flit: it is dropped when it is taken.
    faults : ``Out(STREAM_FAULTS)``
        What was dropped in this cycle, and why.
    """

    def __init__(self, *, params: ChipParams, data_width: int):
        super().__init__(
            {
                "i": In(AxiStream(data_width=data_width)),
                "o": Out(flit_stream(params)),
                "word": Out(WORD_WIDTH),
                "raw": In(1),
                "hold": In(1),
                "discard": In(1),
                "faults": Out(STREAM_FAULTS),
            }
        )
        self._flit_width = Formats(params).flit.width

    def elaborate(self, platform):
        m = Module()
        beat, faults = self.i, self.faults
        takes = Signal()
        is_partial = Signal()
        ends_word = Signal()
        completes = Signal()
        spoilt = Signal()
        discards = Signal()  # the word that has begun to come
        is_amid = Signal()  # a word, after this cycle's beat
        m.d.comb += [
            beat.tready.eq(self.o.ready & ~self.hold),
            takes.eq(beat.tvalid & beat.tready),
            is_partial.eq(beat.tkeep.any() & ~beat.tkeep.all()),
            completes.eq(beat.tvalid & ~self.hold & beat.tkeep.any() & ends_word),
            faults.keep.eq(takes & is_partial),
        ]
        if len(beat.tdata) == WORD_WIDTH:
            word = beat.tdata
            begun = beat.tvalid
            m.d.comb += [ends_word.eq(1), spoilt.eq(is_partial)]
        else:
            low = Signal.like(beat.tdata)
            has_low = Signal()
            low_spoilt = Signal()
            word = Cat(low, beat.tdata)
            begun = beat.tvalid | has_low
            m.d.comb += [
                is_amid.eq((has_low ^ beat.tkeep.any()) & ~beat.tlast),
                ends_word.eq(has_low),
                spoilt.eq(is_partial | low_spoilt),
                # A beat that ends a packet and holds nothing ends it amid a word as well.
                faults.truncated.eq(takes & beat.tlast & (has_low ^ beat.tkeep.any())),
            ]
            with m.If(takes):
                m.d.sync += has_low.eq(is_amid)
                with m.If(~has_low):
                    m.d.sync += [low.eq(beat.tdata), low_spoilt.eq(is_partial)]
        beyond = word[self._flit_width :].any() if self._flit_width < WORD_WIDTH else 0
        has_more = Signal()
        # A link that connects anew takes a beat back.
        with m.If((takes & ~is_amid) | ~begun):
            m.d.sync += discards.eq(0)
        with m.If(self.discard & ~takes):
            m.d.sync += discards.eq(begun)
        m.d.comb += [
            has_more.eq(beyond & ~self.raw & ~discards),
            self.word.eq(word),
            self.o.payload.eq(word[: self._flit_width]),
            faults.beyond.eq(takes & completes & ~spoilt & has_more),
            self.o.valid.eq(completes & ~spoilt & ~has_more & ~discards),
        ]
        return m
