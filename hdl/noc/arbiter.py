# SPDX-License-Identifier: Apache-2.0
"""Who goes next at an output that several ask for."""

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class Arbiter(wiring.Component):
    """Grants one of ``n`` requests, the one served longest ago, and holds the grant until served.

    ``grant`` depends on ``request`` in the same cycle (two LUTs deep). While ``advance`` is low a
    grant stays, whatever other requests come, as long as its own request does. A request waits for
    at most ``n - 1`` others.

    The state is a total order of the requests, one bit for each pair: a grant that waits moves to
    the front of it, one that is served to the end.

    Parameters
    ----------
    n : int
        Requests; 2 or more.

    Members
    -------
    request : ``In(n)``
    advance : ``In(1)``
        The granted request is served in this cycle; ignored when there is none.
    grant : ``Out(n)``
        At most one bit; none without a request.
    """

    def __init__(self, *, n: int):
        if n < 2:
            raise ValueError(f"Arbiter.n: must be 2 or more, got {n}")
        self._n = n
        super().__init__({"request": In(n), "advance": In(1), "grant": Out(n)})

    def elaborate(self, platform):
        m = Module()
        n = self._n
        # precedes[i, j], i < j: request i wins against request j.
        precedes = {
            (i, j): Signal(init=1, name=f"precedes_{i}_{j}")
            for i in range(n)
            for j in range(i + 1, n)
        }
        for i in range(n):
            wins = self.request[i]
            for j in range(n):
                if j != i:
                    wins &= ~self.request[j] | (precedes[i, j] if i < j else ~precedes[j, i])
            m.d.comb += self.grant[i].eq(wins)
        for (i, j), order in precedes.items():
            with m.If(self.grant[i]):
                m.d.sync += order.eq(~self.advance)
            with m.Elif(self.grant[j]):
                m.d.sync += order.eq(self.advance)
        return m
