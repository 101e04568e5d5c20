# SPDX-License-Identifier: Apache-2.0
"""Keeps spikes out of the mesh that their core cannot take yet."""

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from stemcore.golden.spec.fields import Formats, Kind
from stemcore.golden.spec.params import ChipParams

from ..layouts import flit_stream, struct


class FlowControl(wiring.Component):
    """Tells the sources of a core what it can take, and obeys when its own destinations do so.

    As a destination: a CREDIT goes to every entry of ``credit_list`` for each ``grant``. A PACE
    goes there when the queue has become high, and again when it has become low; for each source
    they alternate, so that its count of destinations to wait for comes back to zero. A list once
    begun is ended, and CREDIT goes before PACE: sources may wait for it, and a PACE that comes late
    costs time alone. No CREDIT is lost or merged: the next one is asked for when the last has gone.
    An entry takes four cycles.

    As a source: ``held`` while any destination has asked to hold and not yet to go on. This is
    timing only: spikes that still come find the queue, and behind it the mesh, as before.

    Neither token says anything of the core's own spikes, so both pass those that wait.

    Parameters
    ----------
    params : ChipParams

    Members
    -------
    hold, go : ``In(1)``
        A PACE of one destination has come. Only if it may.
    asks_hold : ``In(1)``
        With these: which of the two has come.
    may_hold, may_go : ``Out(1)``
        Another destination can ask to hold; one has asked.
    held : ``Out(1)``
        From the cycle after.
    grant : ``In(1)``
        Command; only while not granting.
    granting : ``Out(1)``
        From the cycle after ``grant`` until the last CREDIT has been accepted.
    is_high, is_low : ``In(1)``
        State of the queue of spikes.
    credit_list : ``In``
        Field ``token_list``; constant while not idle.
    borrow, borrow_address, borrowed : ``Out, Out, In``
        Reads an entry of the destination table: there in the second cycle after.
    o : ``Out(flit_stream)``
        Registers drive it. The payload of CREDIT is zero, that of PACE a spike of t = 1 (hold) or
        0 (go on).
    idle : ``Out(1)``
        No source waits for a CREDIT that is due, none has been asked to hold or has to be.
    """

    def __init__(self, *, params: ChipParams):
        self._params = params
        formats = Formats(params)
        super().__init__(
            {
                "hold": In(1),
                "go": In(1),
                "asks_hold": In(1),
                "may_hold": Out(1),
                "may_go": Out(1),
                "held": Out(1),
                "grant": In(1),
                "granting": Out(1),
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
        n_holding = Signal(self._params.token_width)
        # Tokens come late in a cycle: they enable, and do not go through an adder.
        with m.If(self.hold | self.go):
            m.d.sync += [
                n_holding.eq(n_holding + Mux(self.asks_hold, 1, -1)),
                self.held.eq(self.asks_hold | (n_holding != 1)),
            ]
        m.d.comb += [
            self.may_hold.eq(~n_holding.all()),
            self.may_go.eq(self.held),
        ]

        is_credit = Signal()  # the list that is being sent
        has_asked = Signal()  # sources hold, or are just being asked to, or to go on
        says_hold = Signal()
        must_pace = Signal()
        left = Signal.like(self.credit_list.count)
        spike = Signal(struct(formats.spike))
        m.d.comb += [
            must_pace.eq(Mux(has_asked, self.is_low, self.is_high)),
            spike.t.eq(says_hold & ~is_credit),
        ]
        with m.If(self.grant):
            m.d.sync += self.granting.eq(1)
        with m.FSM(name="list"):
            with m.State("WATCH"):
                m.d.comb += self.idle.eq(~has_asked & ~self.granting)
                with m.If(self.granting | must_pace):
                    m.d.sync += [
                        self.borrow_address.eq(self.credit_list.start),
                        left.eq(self.credit_list.count),
                        is_credit.eq(self.granting),
                        self.borrow.eq(self.credit_list.count.any()),
                    ]
                    m.next = "NEXT"
                with m.If(~self.granting & must_pace):
                    m.d.sync += [says_hold.eq(~has_asked), has_asked.eq(1)]
            with m.State("NEXT"):
                # A register: the loop nests of axon-out wait for it within a cycle.
                m.d.sync += self.borrow.eq(0)
                with m.If(self.borrow):
                    m.next = "WAIT"
                with m.Else():
                    with m.If(is_credit):
                        m.d.sync += self.granting.eq(0)
                    with m.Else():
                        m.d.sync += has_asked.eq(says_hold)
                    m.next = "WATCH"
            with m.State("WAIT"):
                m.next = "READ"
            with m.State("READ"):
                m.d.sync += [
                    self.borrow_address.eq(self.borrow_address + 1),
                    left.eq(left - 1),
                    self.o.valid.eq(1),
                    self.o.payload.kind.eq(Mux(is_credit, Kind.CREDIT.value, Kind.PACE.value)),
                    self.o.payload.payload.eq(spike),
                    *(
                        self.o.payload[name].eq(self.borrowed[name])
                        for name, _ in formats.rectangle.widths
                    ),
                ]
                m.next = "SEND"
            with m.State("SEND"):
                with m.If(self.o.ready):
                    m.d.sync += [self.o.valid.eq(0), self.borrow.eq(left.any())]
                    m.next = "NEXT"
        return m
