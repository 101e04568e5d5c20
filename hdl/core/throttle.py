# SPDX-License-Identifier: Apache-2.0
"""Keeps spikes out of the mesh that their core cannot take yet."""

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.params import ChipParams


class Throttle(wiring.Component):
    """Tells the sources of a core to hold their spikes, and obeys when its own destinations do.

    As a source: ``held`` while any destination has asked to hold and not yet to go on. As a
    destination: a PACE is due (``due``) when the queue has become high, and again when it has
    become low; to each source they alternate, so that its count of them comes back to zero.

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
    due : ``Out(1)``
        A PACE has to be sent to all sources; stays until ``told``.
    due_hold : ``Out(1)``
        It says hold; constant while ``due``.
    told : ``In(1)``
        It is being sent.
    idle : ``Out(1)``
        No source has been asked to hold, and none has to be.
    """

    def __init__(self, *, params: ChipParams):
        self._params = params
        super().__init__(
            {
                "hold": In(1),
                "go": In(1),
                "held": Out(1),
                "is_high": In(1),
                "is_low": In(1),
                "due": Out(1),
                "due_hold": Out(1, init=1),
                "told": In(1),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        # Every node may be a destination.
        n_holding = Signal(2 * self._params.coord_width)
        with m.If(self.hold):
            m.d.sync += [n_holding.eq(n_holding + 1), self.held.eq(1)]
        with m.Elif(self.go):
            m.d.sync += [n_holding.eq(n_holding - 1), self.held.eq(n_holding != 1)]

        m.d.comb += self.idle.eq(self.due_hold & ~self.due)
        with m.If(self.told):
            m.d.sync += [self.due.eq(0), self.due_hold.eq(~self.due_hold)]
        with m.Elif((self.due_hold & self.is_high) | (~self.due_hold & self.is_low)):
            m.d.sync += self.due.eq(1)
        return m
