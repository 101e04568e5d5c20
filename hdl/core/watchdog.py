# SPDX-License-Identifier: Apache-2.0
"""Notices that a core waits for something that does not come."""

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from stemcore.golden.spec.errors import WATCHDOG_WIDTH, watchdog_cycles


class Watchdog(wiring.Component):
    """Counts the cycles in which something is due and nothing goes on.

    After ``errors.watchdog_cycles(setting)`` of them in a row it tells so, once, and waits for
    progress before it counts again. A setting of 0 turns it off.

    Members
    -------
    setting : ``In(WATCHDOG_WIDTH)``
    due : ``In(1)``
        The core has begun something that it cannot end by itself.
    progress : ``In(5)``
        Something went on in this cycle, of any of five kinds. Known late in it, and heeded in the
        next.
    expired : ``Out(1)``
        A pulse.
    idle : ``Out(1)``
        It does not count.
    """

    setting: In(WATCHDOG_WIDTH)
    due: In(1)
    progress: In(5)
    expired: Out(1)
    idle: Out(1)

    def elaborate(self, platform):
        m = Module()
        # The bit that the setting chooses is the highest that is ever set.
        first = watchdog_cycles(0).bit_length() - 1
        count = Signal(first + (1 << WATCHDOG_WIDTH))
        reported = Signal()
        counts = Signal()
        moved = Signal()
        progressed = Signal.like(self.progress)
        m.d.sync += progressed.eq(self.progress)
        m.d.comb += [
            moved.eq(progressed.any()),
            counts.eq(self.due & self.setting.any() & ~reported),
            self.expired.eq(counts & ~moved & count[first:].bit_select(self.setting, 1)),
            self.idle.eq(~counts & ~moved),
        ]
        with m.If(moved | ~counts):
            m.d.sync += count.eq(0)
        with m.Else():
            m.d.sync += count.eq(count + 1)
        with m.If(moved | ~self.due):
            m.d.sync += reported.eq(0)
        with m.Elif(self.expired):
            m.d.sync += reported.eq(1)
        return m
