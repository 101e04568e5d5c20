# SPDX-License-Identifier: Apache-2.0
"""Spike encoder and decoder between a bus's streams and the queues to a chip."""

from amaranth import Module, ResetInserter, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from stemcore.golden.spec.codec import WORD_BYTES, CodecFormats, CodecParams
from stemcore.golden.spec.fields import Formats, Kind
from stemcore.golden.spec.params import ChipParams
from stemcore.golden.spec.routing import HOST

from ..layouts import flit_stream
from .codec_tables import CodecTables
from .spike_decoder import SpikeDecoder
from .spike_encoder import SpikeEncoder
from .token_sender import TokenSender

WORD_WIDTH = 8 * WORD_BYTES
ACCESSES = (Kind.ADDRESS, Kind.WRITE, Kind.READ)


class Codec(wiring.Component):
    """What ``stemcore.golden.spec.codec`` describes.

    While ``work`` is low, all flits pass but accesses to its memories. Towards the chip its tokens
    go before flits that pass, and those before its spikes.

    Parameters
    ----------
    params : ChipParams
    codec : CodecParams

    Members
    -------
    work : ``In(1)``
        At work; it forgets all but its memories while low, and when ``clear`` comes.
    clear : ``In(1)``
    i : ``In(stream)`` of flits, word : ``In(64)``
        From the host: the same as a flit and as it came.
    raw : ``Out(1)``
        ``word`` is taken, whatever it is: it is of a sample.
    chip_i, chip_o : ``Out``, ``In`` of flits
        To the chip, whose ``valid`` may go without the flit having been taken; and from it.
    is_last : ``In(1)``
        The flit at ``chip_o`` ends a packet, if it passes.
    o : ``Out(stream)`` of words of 64 bits, last : ``Out(1)``
        To the host; ``valid`` may go likewise.
    refused, beyond : ``Out(1)``
        An access to a memory was dropped; a spike was that no output population has.
    """

    def __init__(self, *, params: ChipParams, codec: CodecParams):
        self._formats = CodecFormats(params, codec)
        flits = flit_stream(params)
        super().__init__(
            {
                "work": In(1),
                "clear": In(1),
                "i": In(flits),
                "word": In(WORD_WIDTH),
                "raw": Out(1),
                "chip_i": Out(flits),
                "chip_o": In(flits),
                "is_last": In(1),
                "o": Out(stream.Signature(WORD_WIDTH)),
                "last": Out(1),
                "refused": Out(1),
                "beyond": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        formats = self._formats
        m.submodules.tables = tables = CodecTables(formats=formats)
        encoder, decoder, tokens = (
            kind(formats=formats) for kind in (SpikeEncoder, SpikeDecoder, TokenSender)
        )
        forget = ~self.work | self.clear
        for name, part in (("encoder", encoder), ("decoder", decoder), ("tokens", tokens)):
            m.submodules[name] = ResetInserter(forget)(part)
        m.d.comb += [
            tables.work.eq(self.work),
            encoder.registers.eq(tables.sample),
            tokens.tokens.eq(tables.tokens),
            tokens.source.eq(tables.source),
            decoder.sink.eq(tables.sink),
            decoder.result.eq(tables.result),
            tables.route_address.eq(encoder.route_address),
            encoder.route.eq(tables.route),
            tables.token_address.eq(tokens.token_address),
            tokens.token.eq(tables.token),
            tables.output_address.eq(decoder.output_address),
            decoder.output.eq(tables.output),
            encoder.may_begin.eq(tokens.may_begin),
            encoder.may_send.eq(tokens.may_send),
            tokens.begins.eq(encoder.begins),
            tokens.send_ends.eq(encoder.send_ends),
            encoder.ends_sent.eq(tokens.ends_sent),
            tokens.credit.eq(decoder.period),
            self.refused.eq(tables.refused),
            self.beyond.eq(decoder.beyond),
            decoder.header.eq(self._header()),
        ]
        self._into(m, tables, encoder, tokens)
        self._out(m, tables, decoder, tokens)
        return m

    def _header(self):
        flit = Formats(self._formats.params).flit
        names = [name for name, _ in flit.widths]
        return flit.pack(**dict.fromkeys(names, 0) | {"kind": int(Kind.END)})

    def _into(self, m, tables, encoder, tokens):
        """Of what the host sends: samples, accesses, and the rest."""
        flit = self.i.payload
        is_access = Signal()
        is_header = Signal()
        passes = Signal()
        m.d.comb += [
            self.raw.eq(encoder.receiving),
            is_access.eq(
                flit.kind.matches(*(kind.value for kind in ACCESSES))
                & ((flit.x0 == HOST[0]) & (flit.y0 == HOST[1]))
                & ((flit.x1 == HOST[0]) & (flit.y1 == HOST[1]))
            ),
            is_header.eq(self.work & (flit.kind == Kind.END.value)),
            encoder.word.eq(self.word),
            tables.i.payload.eq(flit),
            self.chip_i.payload.eq(flit),
        ]
        with m.If(self.raw):
            m.d.comb += [self.i.ready.eq(1), encoder.word_valid.eq(self.i.valid)]
        with m.Elif(is_access):
            m.d.comb += [tables.i.valid.eq(self.i.valid), self.i.ready.eq(tables.i.ready)]
        with m.Elif(is_header):
            m.d.comb += [encoder.begin.eq(self.i.valid), self.i.ready.eq(encoder.idle)]
        with m.Else():
            # Words that are no flits are dropped by being ready for them.
            m.d.comb += [passes.eq(1), self.i.ready.eq(self.chip_i.ready & ~tokens.o.valid)]
        with m.If(tokens.o.valid):
            m.d.comb += [
                self.chip_i.valid.eq(1),
                self.chip_i.payload.eq(tokens.o.payload),
                tokens.o.ready.eq(self.chip_i.ready),
            ]
        with m.Elif(passes & self.i.valid):
            m.d.comb += self.chip_i.valid.eq(1)
        with m.Elif(encoder.o.valid):
            m.d.comb += [
                self.chip_i.valid.eq(1),
                self.chip_i.payload.eq(encoder.o.payload),
                encoder.o.ready.eq(self.chip_i.ready),
            ]

    def _out(self, m, tables, decoder, tokens):
        """Of what the chip sends: spikes and tokens are the codec's, where it is at work."""
        flit = self.chip_o.payload
        is_token = Signal()
        is_spike = Signal()
        m.d.comb += [
            is_token.eq(self.work & flit.kind.matches(Kind.CREDIT.value, Kind.PACE.value)),
            is_spike.eq(self.work & flit.kind.matches(Kind.SPIKE.value, Kind.END.value)),
            tokens.i.eq(flit),
            decoder.i.payload.eq(flit),
        ]
        with m.If(is_token):
            m.d.comb += [tokens.i_valid.eq(self.chip_o.valid), self.chip_o.ready.eq(1)]
        with m.Elif(is_spike):
            m.d.comb += [
                decoder.i.valid.eq(self.chip_o.valid),
                self.chip_o.ready.eq(decoder.i.ready),
            ]
        # A sample's words stay together.
        with m.If(decoder.sends):
            m.d.comb += [
                self.o.valid.eq(decoder.o.valid),
                self.o.payload.eq(decoder.o.payload),
                self.last.eq(decoder.last),
                decoder.o.ready.eq(self.o.ready),
            ]
        with m.Elif(tables.reply.valid):
            m.d.comb += [
                self.o.valid.eq(1),
                self.o.payload.eq(tables.reply.payload),
                self.last.eq(1),
                tables.reply.ready.eq(self.o.ready),
            ]
        with m.Elif(~is_token & ~is_spike):
            m.d.comb += [
                self.o.valid.eq(self.chip_o.valid),
                self.o.payload.eq(flit),
                self.last.eq(self.is_last),
                self.chip_o.ready.eq(self.o.ready),
            ]
