# SPDX-License-Identifier: Apache-2.0
"""Sorts the flits that a router delivers to its core, and merges those that the core sends."""

from functools import reduce
from operator import or_

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, connect

from stemcore.golden.spec.errors import Error
from stemcore.golden.spec.fields import Formats, Kind
from stemcore.golden.spec.params import ChipParams
from stemcore.golden.spec.widths import CHUNK_WIDTH, T_WIDTH

from ..layouts import flit_stream, spike_stream, struct
from ..noc.queue import FlitQueue, FlitRegister

# What a flit is, by itself: whatever of it does not depend on what is due.
VERDICT = data.StructLayout(
    {
        # By kind: bits are set that it does not use. A bit each, with a name: Verilator would take
        # bits of one vector that others are made from for a loop.
        **{f"{kind.name.lower()}_is_bad": 1 for kind in Kind},
        "is_spike": 1,
        "fits": 1,  # a fine spike, of a time step that there is; fine: no reserved bit is set
        "is_config": 1,  # ADDRESS, WRITE or READ
        "is_end": 1,  # this and the next three: fine tokens
        "is_credit": 1,
        "is_hold": 1,
        "is_go": 1,
        "is_data": 1,
    }
)


class FlitCheck(wiring.Component):
    """What a flit is, and whether bits are set that its kind does not use; combinational.

    Members
    -------
    kind, payload : ``In``
        Fields of a flit.
    verdict : ``Out(VERDICT)``
    """

    def __init__(self, *, params: ChipParams):
        self._params = params
        flit = struct(Formats(params).flit)
        super().__init__(
            {
                "kind": In(flit["kind"].shape),
                "payload": In(flit["payload"].shape),
                "verdict": Out(VERDICT),
            }
        )

    def elaborate(self, platform):
        m = Module()
        kind, payload, verdict = self.kind, self.payload, self.verdict
        spike_fields = Formats(self._params).spike
        spike = struct(spike_fields)(payload[: spike_fields.width])
        # Kind by kind, side by side with what kind it is: for any kind it takes longer.
        reserved = self._reserved(payload)

        def is_fine(other):
            return (kind == other.value) & ~reserved[other]

        configures = (Kind.ADDRESS, Kind.WRITE, Kind.READ)
        is_pace = Signal()
        m.d.comb += [
            is_pace.eq(is_fine(Kind.PACE)),
            *(verdict[f"{other.name.lower()}_is_bad"].eq(bad) for other, bad in reserved.items()),
            verdict.is_spike.eq(kind == Kind.SPIKE.value),
            verdict.fits.eq(is_fine(Kind.SPIKE) & ~spike.t[T_WIDTH:].any()),
            verdict.is_config.eq(kind.matches(*(other.value for other in configures))),
            verdict.is_end.eq(is_fine(Kind.END)),
            verdict.is_credit.eq(is_fine(Kind.CREDIT)),
            verdict.is_hold.eq(is_pace & spike.t[0]),
            verdict.is_go.eq(is_pace & ~spike.t[0]),
            verdict.is_data.eq(kind == Kind.DATA.value),
        ]
        return m

    def _reserved(self, payload):
        """By kind: whether bits of ``payload`` are set that this kind does not use."""
        formats = Formats(self._params)
        n_bits = formats.payload_width
        position = next(low for name, low, _ in formats.spike if name == "t")
        used = dict.fromkeys(Kind, 0) | {
            Kind.SPIKE: (1 << formats.spike.width) - 1,
            Kind.PACE: 1 << position,  # one bit of a time step says whether to hold
            Kind.ADDRESS: (1 << formats.pointer.width) - 1,
            Kind.WRITE: (1 << CHUNK_WIDTH) - 1,
            Kind.DATA: (1 << n_bits) - 1,
        }
        # Bits that the same kinds do not use are looked at once.
        groups: dict[tuple[Kind, ...], list] = {}
        for bit in range(n_bits):
            kinds = tuple(kind for kind in Kind if not used[kind] >> bit & 1)
            groups.setdefault(kinds, []).append(payload[bit])
        return {
            kind: Cat(Cat(bits).any() for kinds, bits in groups.items() if kind in kinds).any()
            for kind in Kind
        }


class EntryQueue(wiring.Component):
    """Three flits between router and core, and what the oldest of them is.

    Two wait; behind them the oldest lies in a register of its own, checked on its way there, since
    a check and all that follows from it do not fit into one cycle. A flit a cycle; latency two
    cycles.

    Members
    -------
    i : ``In(flit_stream)``
        ``i.ready`` is a register.
    o : ``Out(flit_stream)``
        Registers drive it.
    verdict : ``Out(VERDICT)``
        Of ``o.payload``; from registers too.
    idle : ``Out(1)``
        No flit is in here.
    """

    def __init__(self, *, params: ChipParams):
        self._params = params
        super().__init__(
            {
                "i": In(flit_stream(params)),
                "o": Out(flit_stream(params)),
                "verdict": Out(VERDICT),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        flit = self.i.payload.shape()
        checked = data.StructLayout({"flit": flit, "verdict": VERDICT})
        m.submodules.queue = queue = FlitQueue(shape=flit, depth=2)
        m.submodules.check = check = FlitCheck(params=self._params)
        m.submodules.oldest = oldest = FlitRegister(shape=checked)
        connect(m, wiring.flipped(self.i), queue.i)
        m.d.comb += [
            check.kind.eq(queue.o.payload.kind),
            check.payload.eq(queue.o.payload.payload),
            oldest.i.payload.flit.eq(queue.o.payload),
            oldest.i.payload.verdict.eq(check.verdict),
            oldest.i.valid.eq(queue.o.valid),
            queue.o.ready.eq(oldest.i.ready),
            self.o.payload.eq(oldest.o.payload.flit),
            self.verdict.eq(oldest.o.payload.verdict),
            self.o.valid.eq(oldest.o.valid),
            oldest.o.ready.eq(self.o.ready),
            self.idle.eq(~(queue.o.valid | oldest.o.valid)),
        ]
        return m


class Ingress(wiring.Component):
    """Hands spikes to axon-in, tokens to control, the rest to the configuration unit.

    No latency, no state; order is kept because a flit that waits holds up those behind it. Tokens
    are always accepted. What the protocol does not permit is dropped and reported: a flit that is
    an error has no other effect than a pulse of ``causes``.

    Members
    -------
    i : ``In(flit_stream)``
        From the router's local output.
    verdict : ``In(VERDICT)``
        What :class:`FlitCheck` says of ``i.payload``.
    may_spike, may_credit, may_hold, may_go : ``In(1)``
        What is due: spikes and ENDs, CREDITs, PACEs.
    is_inside : ``In(1)``
        The spike that ``spike`` shows lies within the range of its axon.
    spike, keep : ``Out(spike_stream)``, ``Out(1)``
        A spike, when spikes are due; whether it is one that its axon can have, which is known late.
    config, keep_config : ``Out(flit_stream)``, ``Out(1)``
        ADDRESS, WRITE and READ flits; whether no bit is set that they do not use, known late.
    end, credit : ``Out(1)``
        Pulses for one token each.
    hold, go : ``Out(1)``
        Pulses for one PACE each.
    asks_hold : ``Out(1)``
        With ``hold`` and ``go``: which of the two it is, known earlier in the cycle.
    causes : ``Out(len(Error))``
        Pulses; bits as :class:`stemcore.golden.spec.errors.Error` numbers them. RANGE is one only
        without ``keep``, since that is known late.
    """

    def __init__(self, *, params: ChipParams):
        self._params = params
        super().__init__(
            {
                "i": In(flit_stream(params)),
                "verdict": In(VERDICT),
                "may_spike": In(1),
                "may_credit": In(1),
                "may_hold": In(1),
                "may_go": In(1),
                "is_inside": In(1),
                "spike": Out(spike_stream(params)),
                "keep": Out(1),
                "config": Out(flit_stream(params)),
                "keep_config": Out(1),
                "end": Out(1),
                "credit": Out(1),
                "hold": Out(1),
                "go": Out(1),
                "asks_hold": Out(1),
                "causes": Out(len(Error)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        valid, verdict = self.i.valid, self.verdict
        spike_width = Formats(self._params).spike.width
        spike = struct(Formats(self._params).spike)(self.i.payload.payload[:spike_width])
        comes = Signal()
        spike_comes = Signal()
        # Not in the verdict: it would take the check longer than all the rest.
        bad = Cat(verdict[f"{kind.name.lower()}_is_bad"] for kind in sorted(Kind))
        is_fine = ~bad.bit_select(self.i.payload.kind, 1)
        # Of tokens, ``valid`` says that they come: they never wait.
        m.d.comb += [
            self.i.ready.eq(
                (~verdict.is_spike | self.spike.ready) & (~verdict.is_config | self.config.ready)
            ),
            comes.eq(valid & self.i.ready),
            self.causes[Error.RESERVED].eq(comes & ~is_fine),
            self.causes[Error.KIND].eq(valid & verdict.is_data),
            self.spike.payload.eq(self.i.payload.payload[:spike_width]),
            self.spike.valid.eq(valid & verdict.is_spike & self.may_spike),
            self.keep.eq(verdict.fits & self.is_inside),
            spike_comes.eq(valid & verdict.is_spike & is_fine & self.spike.ready),
            self.causes[Error.SPIKE].eq(spike_comes & ~self.may_spike),
            self.causes[Error.RANGE].eq(spike_comes & self.may_spike),
            self.config.payload.eq(self.i.payload),
            self.config.valid.eq(valid & verdict.is_config),
            self.keep_config.eq(is_fine),
            self.end.eq(valid & verdict.is_end & self.may_spike),
            self.credit.eq(valid & verdict.is_credit & self.may_credit),
            self.causes[Error.TOKEN].eq(
                valid
                & ((verdict.is_end & ~self.may_spike) | (verdict.is_credit & ~self.may_credit))
            ),
            self.hold.eq(valid & verdict.is_hold & self.may_hold),
            self.go.eq(valid & verdict.is_go & self.may_go),
            self.asks_hold.eq(spike.t[0]),
            self.causes[Error.PACE].eq(
                valid & ((verdict.is_hold & ~self.may_hold) | (verdict.is_go & ~self.may_go))
            ),
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
