# SPDX-License-Identifier: Apache-2.0
"""Sorts the flits that a router delivers to its core, and merges those that the core sends."""

from functools import reduce
from operator import or_

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from stemcore.golden.spec.fields import Formats, Kind
from stemcore.golden.spec.params import ChipParams

from ..layouts import flit_stream, spike_stream, struct


class Ingress(wiring.Component):
    """Hands spikes to axon-in, tokens to control, the rest to the configuration unit.

    No latency, no state; order is kept because a flit that waits holds up those behind it. Tokens
    are always accepted. Flits of kind DATA have no business here and are dropped.

    Members
    -------
    i : ``In(flit_stream)``
        From the router's local output.
    spike : ``Out(spike_stream)``
    config : ``Out(flit_stream)``
        ADDRESS, WRITE and READ flits.
    end, credit : ``Out(1)``
        Pulses for one token each.
    hold, go : ``Out(1)``
        Pulses for one PACE each.
    """

    def __init__(self, *, params: ChipParams):
        self._params = params
        super().__init__(
            {
                "i": In(flit_stream(params)),
                "spike": Out(spike_stream(params)),
                "config": Out(flit_stream(params)),
                "end": Out(1),
                "credit": Out(1),
                "hold": Out(1),
                "go": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        kind = self.i.payload.kind
        spike_width = Formats(self._params).spike.width
        spike = struct(Formats(self._params).spike)(self.i.payload.payload[:spike_width])
        is_config, is_pace = Signal(), Signal()
        m.d.comb += [
            self.spike.payload.eq(self.i.payload.payload[:spike_width]),
            self.config.payload.eq(self.i.payload),
            is_config.eq(
                (kind == Kind.ADDRESS.value)
                | (kind == Kind.WRITE.value)
                | (kind == Kind.READ.value)
            ),
        ]
        with m.If(kind == Kind.SPIKE.value):
            m.d.comb += [
                self.spike.valid.eq(self.i.valid),
                self.i.ready.eq(self.spike.ready),
            ]
        with m.Elif(is_config):
            m.d.comb += [
                self.config.valid.eq(self.i.valid),
                self.i.ready.eq(self.config.ready),
            ]
        with m.Else():
            m.d.comb += [
                self.i.ready.eq(1),
                self.end.eq(self.i.valid & (kind == Kind.END.value)),
                self.credit.eq(self.i.valid & (kind == Kind.CREDIT.value)),
                is_pace.eq(self.i.valid & (kind == Kind.PACE.value)),
                self.hold.eq(is_pace & spike.t[0]),
                self.go.eq(is_pace & ~spike.t[0]),
            ]
        return m


class Egress(wiring.Component):
    """Merges the flits that a core sends into the router's local input.

    CREDIT and PACE go first, since others wait for them or send in vain without, then axon-out,
    then answers; a choice once made stands until its flit has gone. No latency; ``o`` depends on
    the registers of the inputs and on this block's own.

    Members
    -------
    flow, fire, reply : ``In(flit_stream)``
    o : ``Out(flit_stream)``
    """

    def __init__(self, *, params: ChipParams):
        self._layout = struct(Formats(params).flit)
        super().__init__(
            {
                "flow": In(flit_stream(params)),
                "fire": In(flit_stream(params)),
                "reply": In(flit_stream(params)),
                "o": Out(flit_stream(params)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        inputs = (self.flow, self.fire, self.reply)
        is_held = Signal()
        held, chosen = Signal(len(inputs)), Signal(len(inputs))
        offers = Cat(i.valid for i in inputs)
        m.d.comb += [
            chosen.eq(Mux(is_held, held, offers & (~offers + 1))),
            self.o.valid.eq(offers.any()),
            self.o.payload.eq(
                self._layout(
                    reduce(
                        or_,
                        (
                            Mux(take, i.payload.as_value(), 0)
                            for take, i in zip(chosen, inputs, strict=True)
                        ),
                    )
                )
            ),
            *(i.ready.eq(self.o.ready & take) for take, i in zip(chosen, inputs, strict=True)),
        ]
        m.d.sync += is_held.eq(self.o.valid & ~self.o.ready)
        with m.If(self.o.valid):
            m.d.sync += held.eq(chosen)
        return m
