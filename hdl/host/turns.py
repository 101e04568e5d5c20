# SPDX-License-Identifier: Apache-2.0
"""When each of n spikes of a route has its turn among those of other routes, exactly."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out


def key_width(count_width: int) -> int:
    """Bits of a key of at most ``2**count_width`` spikes.

    Spike i of n has its turn at (2 i + 1) / 2 n. Two of these that differ do so by 1 / (2 n n') at
    least, so ``floor(turn * 2**(2 * count_width + 1))`` orders them as they are.
    """
    return 2 * count_width + 1


def turns_layout(count_width: int) -> data.StructLayout:
    """Turns of a route: the key of the next spike, what is left of it and of the distance of keys.

    ``whole``, ``part``: half the distance of two keys, as a quotient and a remainder by ``n``.
    ``rest``: what the division of ``key`` left. ``left``: spikes that have not been sent.
    """
    key, count = key_width(count_width), count_width + 1
    return data.StructLayout(
        {"key": key, "rest": count, "whole": key, "part": count, "n": count, "left": count}
    )


class FirstTurn(wiring.Component):
    """Divides: the turns of a route with ``n`` spikes, before its first.

    ``done`` comes ``key_width(count_width)`` cycles after ``start``, with ``o``, which stays.

    Parameters
    ----------
    count_width : int
        ``n`` is at most ``2**count_width``.

    Members
    -------
    start : ``In(1)``, n : ``In``
        ``n``, from 1 on, stays until ``done``.
    done : ``Out(1)``
    o : ``Out(turns_layout(count_width))``
    """

    def __init__(self, *, count_width: int):
        self._count_width = count_width
        super().__init__(
            {
                "start": In(1),
                "n": In(count_width + 1),
                "done": Out(1),
                "o": Out(turns_layout(count_width)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        n_steps = key_width(self._count_width)
        left = Signal(range(n_steps + 1))
        first = Signal()
        quotient = Signal(n_steps)
        remainder = Signal(self._count_width + 1)
        shifted = Signal(self._count_width + 2)
        fits = Signal()
        # The dividend is 2**(n_steps - 1): a one, then zeros.
        m.d.comb += [
            shifted.eq((remainder << 1) + first),
            fits.eq(shifted >= self.n),
            self.o.key.eq(quotient),
            self.o.whole.eq(quotient),
            self.o.rest.eq(remainder),
            self.o.part.eq(remainder),
            self.o.n.eq(self.n),
            self.o.left.eq(self.n),
        ]
        m.d.sync += self.done.eq(left == 1)
        with m.If(self.start):
            m.d.sync += [left.eq(n_steps), first.eq(1), quotient.eq(0), remainder.eq(0)]
        with m.Elif(left != 0):
            m.d.sync += [
                left.eq(left - 1),
                first.eq(0),
                quotient.eq((quotient << 1) + fits),
                remainder.eq(Mux(fits, shifted - self.n, shifted)),
            ]
        return m


class NextTurn(wiring.Component):
    """The turns of a route after its next spike; no registers.

    Parameters
    ----------
    count_width : int

    Members
    -------
    i, o : ``In``, ``Out(turns_layout(count_width))``
    """

    def __init__(self, *, count_width: int):
        self._count_width = count_width
        layout = turns_layout(count_width)
        super().__init__({"i": In(layout), "o": Out(layout)})

    def elaborate(self, platform):
        m = Module()
        i, o = self.i, self.o
        # A distance is twice (whole + part / n): rest and both parts are below n, their sum 3 n.
        rests = Signal(self._count_width + 3)
        m.d.comb += [
            rests.eq(i.rest + (i.part << 1)),
            o.eq(i),
            o.left.eq(i.left - 1),
            o.key.eq(i.key + (i.whole << 1)),
            o.rest.eq(rests),
        ]
        with m.If(rests >= (i.n << 1)):
            m.d.comb += [o.key.eq(i.key + (i.whole << 1) + 2), o.rest.eq(rests - (i.n << 1))]
        with m.Elif(rests >= i.n):
            m.d.comb += [o.key.eq(i.key + (i.whole << 1) + 1), o.rest.eq(rests - i.n)]
        return m
