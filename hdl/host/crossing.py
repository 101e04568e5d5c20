# SPDX-License-Identifier: Apache-2.0
"""Between the host's clock and the chip's: flits, reset and quiet."""

from amaranth import ClockDomain, ClockSignal, Module, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.fifo import AsyncFIFO
from amaranth.lib.wiring import In, Out

from stemcore.golden.spec.fields import Formats
from stemcore.golden.spec.params import ChipParams

from ..layouts import flit_stream
from .chip_side import chip_side

QUEUE_DEPTH = 16  # flits each way: more than the cycles that a pointer needs there and back
REST = 16  # cycles of the host's clock in which a reset waits for pointers to arrive


class Crossing(wiring.Component):
    """Domain ``sync`` is the host's, ``chip`` the chip's; their clocks need no relation.

    The chip is reset from power on, and whenever ``reset`` comes; both clocks must run for that.
    The reset is handed over and its arrival is answered, so that it lasts as long as the slower
    clock needs. Meanwhile nothing is taken from the host, and what was under way in either
    direction is dropped; when ``resetting`` falls, both queues are empty.

    Parameters
    ----------
    params : ChipParams

    Members
    -------
    i, o : flit streams of the host
        ``i.ready`` and ``o.valid`` are low in a reset.
    reset : ``In(1)``
        Begins a reset; high for a cycle.
    resetting : ``Out(1)``
    quiet : ``Out(1)``
        Of the chip, as it was a few cycles ago; low in a reset.
    chip_clk, chip_rst, chip_i, chip_o, chip_quiet
        The chip's: see :func:`.chip_side.chip_side`.
    """

    def __init__(self, *, params: ChipParams):
        self._width = Formats(params).flit.width
        flits = flit_stream(params)
        super().__init__(
            {
                "i": In(flits),
                "o": Out(flits),
                "reset": In(1),
                "resetting": Out(1, init=1),
                "quiet": Out(1),
                **chip_side(params),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.domains.chip = ClockDomain(local=True)
        m.d.comb += [ClockSignal("chip").eq(self.chip_clk), ResetSignal("chip").eq(self.chip_rst)]
        # Each queue is reset by the side that writes it, as AsyncFIFO asks for.
        m.submodules.to_chip = to_chip = AsyncFIFO(
            width=self._width, depth=QUEUE_DEPTH, w_domain="sync", r_domain="chip"
        )
        m.submodules.from_chip = from_chip = AsyncFIFO(
            width=self._width, depth=QUEUE_DEPTH, w_domain="chip", r_domain="sync"
        )
        m.d.comb += [
            to_chip.w_data.eq(self.i.payload),
            to_chip.w_en.eq(self.i.valid & ~self.resetting),
            self.i.ready.eq(to_chip.w_rdy & ~self.resetting),
            self.o.payload.eq(from_chip.r_data),
            self.o.valid.eq(from_chip.r_rdy & ~self.resetting),
            from_chip.r_en.eq(self.o.ready & ~self.resetting),
            # The chip's side: what is left in a reset goes nowhere.
            self.chip_i.payload.eq(to_chip.r_data),
            self.chip_i.valid.eq(to_chip.r_rdy & ~self.chip_rst),
            to_chip.r_en.eq(self.chip_i.ready | self.chip_rst),
            from_chip.w_data.eq(self.chip_o.payload),
            from_chip.w_en.eq(self.chip_o.valid & ~self.chip_rst),
            self.chip_o.ready.eq(from_chip.w_rdy & ~self.chip_rst),
        ]

        # ``quiet`` is a tree of gates, which may glitch: a register first.
        quiet_there = Signal()
        quiet_here = Signal()
        m.d.chip += quiet_there.eq(self.chip_quiet)
        m.submodules.quiet = FFSynchronizer(quiet_there, quiet_here)
        m.d.comb += self.quiet.eq(quiet_here & ~self.resetting)

        request = Signal(init=1)
        arrived = Signal()
        m.submodules.request = FFSynchronizer(request, self.chip_rst, o_domain="chip", init=1)
        m.submodules.arrived = FFSynchronizer(self.chip_rst, arrived, init=1)
        rest = Signal(range(REST))
        settled = Signal()
        m.d.comb += settled.eq((arrived == request) & (~request | (to_chip.w_level == 0)))
        with m.If(~self.resetting):
            m.d.sync += [self.resetting.eq(self.reset), request.eq(self.reset), rest.eq(0)]
        with m.Elif(~settled):
            m.d.sync += rest.eq(0)
        with m.Elif(rest != REST - 1):
            m.d.sync += rest.eq(rest + 1)
        with m.Else():
            m.d.sync += [request.eq(0), self.resetting.eq(request), rest.eq(0)]
        return m
