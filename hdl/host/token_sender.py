# SPDX-License-Identifier: Apache-2.0
"""The tokens of the codec: who permits it to send, and what it sends for whole periods."""

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from stemcore.golden.spec.codec import CodecFormats, CodecRegister
from stemcore.golden.spec.fields import Formats, Kind

from ..layouts import flit_stream, struct

TOKENS, SOURCE = CodecRegister.TOKENS, CodecRegister.SOURCE


class TokenSender(wiring.Component):
    """Keeps ``stemcore.golden.spec.tokens.Source``, and sends lists of END and of CREDIT.

    A flit takes two cycles. CREDITs go before ENDs, each list whole; ENDs wait while a destination
    has asked to hold.

    Parameters
    ----------
    formats : CodecFormats

    Members
    -------
    tokens : ``In(TOKENS)``, source : ``In(SOURCE)``
        The registers of these names.
    i : ``In(flit)``, i_valid : ``In(1)``
        A CREDIT or a PACE has come from the chip in this cycle.
    begins : ``In(1)``
        A token period begins, which uses up its CREDITs.
    may_begin, may_send : ``Out(1)``
        As ``Source`` says of CREDITs, and of PACE.
    credit : ``In(1)``
        The CREDITs for a period are to be sent: a pulse for each.
    send_ends : ``In(1)``, ends_sent : ``Out(1)``
        A period's ENDs are to be sent, until the last one is taken.
    token_address, token : ``Out``, ``In(rectangle)``
        Read port of TOKEN.
    o : ``Out(stream)`` of flits
    """

    def __init__(self, *, formats: CodecFormats):
        self._formats = formats
        flits = flit_stream(formats.params)
        super().__init__(
            {
                "tokens": In(struct(formats.registers[TOKENS])),
                "source": In(struct(formats.registers[SOURCE])),
                "i": In(flits.members["payload"].shape),
                "i_valid": In(1),
                "begins": In(1),
                "may_begin": Out(1),
                "may_send": Out(1),
                "credit": In(1),
                "send_ends": In(1),
                "ends_sent": Out(1),
                "token_address": Out(range(formats.codec.n_tokens)),
                "token": In(struct(formats.token)),
                "o": Out(flits),
            }
        )

    def elaborate(self, platform):
        m = Module()
        params = self._formats.params
        # A destination's CREDITs are never more than two; each has held once at most.
        credits = Signal(params.token_width + 1)
        holding = Signal(params.token_width)
        is_hold = struct(Formats(params).spike)(
            self.i.payload[: Formats(params).spike.width]
        ).t.any()
        comes_credit = self.i_valid & (self.i.kind == Kind.CREDIT.value)
        comes_pace = self.i_valid & (self.i.kind == Kind.PACE.value)
        used = Signal.like(self.source.credits)
        m.d.comb += [
            self.may_begin.eq(credits >= self.source.credits),
            self.may_send.eq(holding == 0),
        ]
        with m.If(self.begins):
            m.d.comb += used.eq(self.source.credits)
        m.d.sync += credits.eq(credits + comes_credit - used)
        with m.If(comes_pace & is_hold):
            m.d.sync += holding.eq(holding + 1)
        with m.Elif(comes_pace):
            m.d.sync += holding.eq(holding - 1)

        # Periods that are to be granted: one of each that has come out, and those of a sample that
        # came out meanwhile cannot be more than the destinations hold.
        due = Signal(8)
        number = Signal(range(self._formats.codec.n_tokens + 1))
        left = Signal.like(self.tokens.ends)
        granted = Signal()
        m.d.comb += [
            self.token_address.eq(number),
            self.o.payload.x0.eq(self.token.x0),
            self.o.payload.y0.eq(self.token.y0),
            self.o.payload.x1.eq(self.token.x1),
            self.o.payload.y1.eq(self.token.y1),
        ]
        m.d.sync += due.eq(due + self.credit - granted)
        with m.FSM():
            with m.State("IDLE"):
                with m.If(due != 0):
                    m.d.comb += granted.eq(1)
                    m.d.sync += [number.eq(self.tokens.ends), left.eq(self.tokens.credits)]
                    m.next = "CREDIT"
                with m.Elif(self.send_ends):
                    m.d.sync += [number.eq(0), left.eq(self.tokens.ends)]
                    m.next = "END"
            for kind, may in ((Kind.CREDIT, 1), (Kind.END, self.may_send)):
                with m.State(kind.name):
                    m.next = f"SEND_{kind.name}"
                with m.State(f"SEND_{kind.name}"):
                    m.d.comb += [self.o.valid.eq(may), self.o.payload.kind.eq(kind.value)]
                    with m.If(self.o.valid & self.o.ready):
                        m.d.sync += [number.eq(number + 1), left.eq(left - 1)]
                        m.next = kind.name
                        with m.If(left == 1):
                            if kind is Kind.END:
                                m.d.comb += self.ends_sent.eq(1)
                            m.next = "IDLE"
        return m
