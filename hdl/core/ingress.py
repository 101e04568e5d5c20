# SPDX-License-Identifier: Apache-2.0
"""Sorts the flits that a router delivers to its core, and merges those that the core sends."""

from functools import reduce
from operator import or_

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from stemcore.golden.spec.errors import Error
from stemcore.golden.spec.fields import Formats, Kind
from stemcore.golden.spec.params import ChipParams
from stemcore.golden.spec.widths import CHUNK_WIDTH, T_WIDTH

from ..layouts import flit_stream, spike_stream, struct


class Ingress(wiring.Component):
    """Hands spikes to axon-in, tokens to control, the rest to the configuration unit.

    No latency, no state; order is kept because a flit that waits holds up those behind it. Tokens
    are always accepted. What the protocol does not permit is dropped and reported: a flit that is
    an error has no other effect than a pulse of ``causes``.

    Members
    -------
    i : ``In(flit_stream)``
        From the router's local output.
    may_spike, may_credit, may_hold, may_go : ``In(1)``
        What is due: spikes and ENDs, CREDITs, PACEs.
    is_inside : ``In(1)``
        The spike that ``spike`` shows lies within the range of its axon.
    spike, keep : ``Out(spike_stream)``, ``Out(1)``
        A spike, when spikes are due; whether it is one that its axon can have, which is known late.
    config : ``Out(flit_stream)``
        ADDRESS, WRITE and READ flits.
    end, credit : ``Out(1)``
        Pulses for one token each.
    hold, go : ``Out(1)``
        Pulses for one PACE each.
    causes : ``Out(len(Error))``
        Pulses; bits as :class:`stemcore.golden.spec.errors.Error` numbers them.
    """

    def __init__(self, *, params: ChipParams):
        self._params = params
        super().__init__(
            {
                "i": In(flit_stream(params)),
                "may_spike": In(1),
                "may_credit": In(1),
                "may_hold": In(1),
                "may_go": In(1),
                "is_inside": In(1),
                "spike": Out(spike_stream(params)),
                "keep": Out(1),
                "config": Out(flit_stream(params)),
                "end": Out(1),
                "credit": Out(1),
                "hold": Out(1),
                "go": Out(1),
                "causes": Out(len(Error)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        kind = self.i.payload.kind
        spike_width = Formats(self._params).spike.width
        spike = struct(Formats(self._params).spike)(self.i.payload.payload[:spike_width])
        is_fine = Signal()
        comes = Signal()
        m.d.comb += [
            self.spike.payload.eq(self.i.payload.payload[:spike_width]),
            self.config.payload.eq(self.i.payload),
            is_fine.eq(~self._reserved().any()),
            comes.eq(self.i.valid & self.i.ready),
            self.causes[Error.RESERVED].eq(comes & ~is_fine),
            self.i.ready.eq(1),
        ]
        with m.Switch(kind):
            with m.Case(Kind.SPIKE.value):
                m.d.comb += [
                    self.keep.eq(is_fine & self.is_inside & ~spike.t[T_WIDTH:].any()),
                    self.i.ready.eq(self.spike.ready),
                    self.spike.valid.eq(self.i.valid & self.may_spike),
                    self.causes[Error.SPIKE].eq(comes & is_fine & ~self.may_spike),
                    self.causes[Error.RANGE].eq(comes & is_fine & self.may_spike & ~self.keep),
                ]
            with m.Case(Kind.ADDRESS.value, Kind.WRITE.value, Kind.READ.value):
                m.d.comb += [
                    self.i.ready.eq(self.config.ready),
                    self.config.valid.eq(self.i.valid & is_fine),
                ]
            with m.Case(Kind.END.value):
                m.d.comb += [
                    self.end.eq(comes & is_fine & self.may_spike),
                    self.causes[Error.TOKEN].eq(comes & is_fine & ~self.may_spike),
                ]
            with m.Case(Kind.CREDIT.value):
                m.d.comb += [
                    self.credit.eq(comes & is_fine & self.may_credit),
                    self.causes[Error.TOKEN].eq(comes & is_fine & ~self.may_credit),
                ]
            with m.Case(Kind.PACE.value):
                is_due = Mux(spike.t[0], self.may_hold, self.may_go)
                m.d.comb += [
                    self.hold.eq(comes & is_fine & spike.t[0] & self.may_hold),
                    self.go.eq(comes & is_fine & ~spike.t[0] & self.may_go),
                    self.causes[Error.PACE].eq(comes & is_fine & ~is_due),
                ]
            with m.Case(Kind.DATA.value):
                m.d.comb += self.causes[Error.KIND].eq(comes)
        return m

    def _reserved(self):
        """One condition for every group of payload bits that the same kinds do not use."""
        formats, flit = Formats(self._params), self.i.payload
        n_bits = formats.payload_width
        position = next(low for name, low, _ in formats.spike if name == "t")
        used = dict.fromkeys(Kind, 0) | {
            Kind.SPIKE: (1 << formats.spike.width) - 1,
            Kind.PACE: 1 << position,  # one bit of a time step says whether to hold
            Kind.ADDRESS: (1 << formats.pointer.width) - 1,
            Kind.WRITE: (1 << CHUNK_WIDTH) - 1,
            Kind.DATA: (1 << n_bits) - 1,
        }
        groups: dict[tuple[int, ...], list] = {}
        for bit in range(n_bits):
            kinds = tuple(kind.value for kind in Kind if not used[kind] >> bit & 1)
            groups.setdefault(kinds, []).append(flit.payload[bit])
        return Cat(Cat(bits).any() & flit.kind.matches(*kinds) for kinds, bits in groups.items())


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
        held = Signal(len(inputs))
        chosen = Signal(len(inputs))
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
