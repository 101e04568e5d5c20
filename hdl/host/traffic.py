# SPDX-License-Identifier: Apache-2.0
"""What the host side sees in the flits that pass: samples, errors, silence, counts."""

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from stemcore.golden.spec.errors import Error, watchdog_cycles
from stemcore.golden.spec.fields import ALERT, Formats, Kind
from stemcore.golden.spec.host_registers import HOST_REGISTERS
from stemcore.golden.spec.params import ChipParams

from ..layouts import struct

SAMPLE_ENDS, ERRORS, LAST_KINDS, WATCHDOG = (
    struct(HOST_REGISTERS[name].layout)
    for name in ("SAMPLE_ENDS", "ERRORS", "LAST_KINDS", "WATCHDOG")
)
COUNT_WIDTH = HOST_REGISTERS["FLITS_IN"].layout.width
COUNTED = ("flits_in", "flits_out", "spikes_in", "spikes_out", "samples_in", "samples_out")
N_CAUSES = len(Error)
MAX_EXPONENT = (1 << WATCHDOG.size) - 1


class Traffic(wiring.Component):
    """Watches both directions. Counters follow a cycle behind.

    Parameters
    ----------
    params : ChipParams

    Members
    -------
    flit_in, flit_out : ``In(flit)``; moves_in, moves_out : ``In(1)``
        A flit is handed over in this cycle.
    sample_ends : ``In(SAMPLE_ENDS)``, last_kinds : ``In(LAST_KINDS)``, watchdog : ``In(WATCHDOG)``
        The registers of these names.
    clear : ``In(1)``
        Counts become zero, and samples begin anew.
    clear_alert : ``In(1)``
        Clears ``alert``.
    is_last : ``Out(1)``
        ``flit_out`` is the last of its packet.
    errors_set : ``Out(ERRORS)``
        Bits of errors that were seen.
    alert : ``Out(32)``
        Payload of the first ALERT.
    sample : ``Out(1)``
        A sample went out.
    open : ``Out(1)``
        More samples have gone in than out.
    flits_in, .. samples_out : ``Out(32)``
        The counters of these names.
    """

    def __init__(self, *, params: ChipParams):
        self._flit = struct(Formats(params).flit)
        super().__init__(
            {
                "flit_in": In(self._flit),
                "moves_in": In(1),
                "flit_out": In(self._flit),
                "moves_out": In(1),
                "sample_ends": In(SAMPLE_ENDS),
                "last_kinds": In(LAST_KINDS),
                "watchdog": In(WATCHDOG),
                "clear": In(1),
                "clear_alert": In(1),
                "is_last": Out(1),
                "errors_set": Out(ERRORS),
                "alert": Out(32),
                "sample": Out(1),
                "open": Out(1),
                **{name: Out(COUNT_WIDTH) for name in COUNTED},
            }
        )

    def elaborate(self, platform):
        m = Module()
        completes_out = self._count(
            m, "out", self.flit_out, self.moves_out, self.sample_ends.output
        )
        self._count(m, "in", self.flit_in, self.moves_in, self.sample_ends.input)
        kind = self.flit_out.kind
        m.d.comb += [
            self.is_last.eq(completes_out | self.last_kinds.kinds.bit_select(kind, 1)),
            self.open.eq(self.samples_in != self.samples_out),
        ]
        m.d.sync += self.sample.eq(self.moves_out & completes_out)

        comes = Signal()
        has_alert = Signal()
        m.d.comb += comes.eq(self.moves_out & (kind == ALERT.value))
        causes = Mux(comes, self.flit_out.payload[:N_CAUSES], 0)
        m.d.comb += [
            self.errors_set.as_value()[:N_CAUSES].eq(causes),
            self.errors_set.alert.eq(comes),
        ]
        with m.If(comes & (~has_alert | self.clear_alert)):
            m.d.sync += [has_alert.eq(1), self.alert.eq(self.flit_out.payload)]
        with m.Elif(self.clear_alert):
            m.d.sync += [has_alert.eq(0), self.alert.eq(0)]

        waited = Signal(range(watchdog_cycles(MAX_EXPONENT) + 1))
        limit = Signal.like(waited)
        m.d.comb += limit.eq(watchdog_cycles(0) << self.watchdog.exponent)
        idles = self.open & ~self.moves_in & ~self.moves_out & self.watchdog.exponent.any()
        is_over = waited + 1 == limit
        m.d.comb += self.errors_set.silence.eq(idles & is_over)
        with m.If(~idles | is_over):
            m.d.sync += waited.eq(0)
        with m.Else():
            m.d.sync += waited.eq(waited + 1)
        return m

    def _count(self, m, side, flit, moves, ends_of_sample):
        """Counters of one direction; whether its flit would complete a sample."""
        flits, spikes, samples = (
            getattr(self, f"{name}_{side}") for name in ("flits", "spikes", "samples")
        )
        ends = Signal.like(ends_of_sample, name=f"ends_{side}")
        completes = Signal(name=f"completes_{side}")
        is_end = flit.kind == Kind.END.value
        m.d.comb += completes.eq(is_end & (ends_of_sample != 0) & (ends + 1 >= ends_of_sample))
        with m.If(self.clear):
            m.d.sync += [counter.eq(0) for counter in (flits, spikes, samples, ends)]
        with m.Elif(moves):
            m.d.sync += [
                flits.eq(flits + 1),
                spikes.eq(spikes + (flit.kind == Kind.SPIKE.value)),
                samples.eq(samples + completes),
            ]
            with m.If(is_end):
                m.d.sync += ends.eq(Mux(completes | (ends_of_sample == 0), 0, ends + 1))
        return completes
