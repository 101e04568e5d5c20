# SPDX-License-Identifier: Apache-2.0
"""Keeps spikes out of the mesh that their core cannot take yet."""

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.fields import Formats, Kind
from golden.params import ChipParams

from ..layouts import flit_stream, struct


class Throttle(wiring.Component):
    """Tells the sources of a core to hold their spikes, and obeys when its own destinations do.

    As a source: ``held`` while any destination has asked to hold and not yet to go on. As a
    destination: a PACE goes to every entry of ``credit_list`` when the queue has become high, and
    again when it has become low; for each source they alternate, so that its count of
    destinations to wait for comes back to zero. An entry takes four cycles.

    Timing only: spikes that still come find the queue, and behind it the mesh, as before.

    Parameters
    ----------
    params : ChipParams

    Members
    -------
    hold, go : ``In(1)``
        A PACE of one destination has come.
    held : ``Out(1)``
        From the cycle after.
    is_high, is_low : ``In(1)``
        State of the queue of spikes.
    credit_list : ``In``
        Field ``token_list``; constant while not idle.
    borrow, borrow_address, borrowed : ``Out, Out, In``
        Reads an entry of the destination table: there in the cycle after.
    o : ``Out(flit_stream)``
        Registers drive it.
    idle : ``Out(1)``
        No source has been asked to hold, and none has to be.
    """

    def __init__(self, *, params: ChipParams):
        self._params = params
        formats = Formats(params)
        super().__init__(
            {
                "hold": In(1),
                "go": In(1),
                "held": Out(1),
                "is_high": In(1),
                "is_low": In(1),
                "credit_list": In(struct(formats.token_list)),
                "borrow": Out(1),
                "borrow_address": Out(params.destination_width),
                "borrowed": In(struct(formats.destination)),
                "o": Out(flit_stream(params)),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        formats = Formats(self._params)
        # Every node may be a destination.
        n_holding = Signal(2 * self._params.coord_width)
        with m.If(self.hold):
            m.d.sync += [n_holding.eq(n_holding + 1), self.held.eq(1)]
        with m.Elif(self.go):
            m.d.sync += [n_holding.eq(n_holding - 1), self.held.eq(n_holding != 1)]

        has_asked = Signal()  # sources hold, or are just being told to, or to go on
        says_hold = Signal()
        left = Signal.like(self.credit_list.count)
        spike = Signal(struct(formats.spike))
        m.d.comb += spike.t.eq(says_hold)
        with m.FSM(name="pace"):
            with m.State("WATCH"):
                m.d.comb += self.idle.eq(~has_asked)
                with m.If((self.is_high & ~has_asked) | (self.is_low & has_asked)):
                    m.d.sync += [
                        self.borrow_address.eq(self.credit_list.start),
                        left.eq(self.credit_list.count),
                        says_hold.eq(~has_asked),
                        has_asked.eq(1),
                    ]
                    m.next = "NEXT"
            with m.State("NEXT"):
                m.d.comb += self.borrow.eq(left.any())
                with m.If(left.any()):
                    m.next = "READ"
                with m.Else():
                    m.d.sync += has_asked.eq(says_hold)
                    m.next = "WATCH"
            with m.State("READ"):
                m.d.sync += [
                    self.borrow_address.eq(self.borrow_address + 1),
                    left.eq(left - 1),
                    self.o.valid.eq(1),
                    self.o.payload.kind.eq(Kind.PACE.value),
                    self.o.payload.payload.eq(spike),
                    *(
                        self.o.payload[name].eq(self.borrowed[name])
                        for name, _ in formats.rectangle.widths
                    ),
                ]
                m.next = "SEND"
            with m.State("SEND"):
                with m.If(self.o.ready):
                    m.d.sync += self.o.valid.eq(0)
                    m.next = "NEXT"
        return m
