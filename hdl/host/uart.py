# SPDX-License-Identifier: Apache-2.0
"""Bytes on a serial line: 8 bits, no parity, one stop bit."""

from amaranth import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

MIN_DIVISOR = 2
BYTE_WIDTH = 8


def check_divisor(where: str, divisor: int) -> None:
    """Raises ``ValueError`` for cycles of a bit that no receiver can tell apart."""
    if divisor < MIN_DIVISOR:
        raise ValueError(
            f"{where}: a bit must last {MIN_DIVISOR} cycles of the clock or more, got {divisor}"
        )


class UartReceiver(wiring.Component):
    """Takes each bit in its middle. A byte whose stop bit is missing is dropped.

    Parameters
    ----------
    divisor : int
        Cycles of a bit.

    Members
    -------
    rx : ``In(1)``
        The line, of any clock; high at rest.
    data : ``Out(8)``, valid : ``Out(1)``
        A byte, for one cycle.
    """

    def __init__(self, *, divisor: int):
        check_divisor("UartReceiver.divisor", divisor)
        self._divisor = divisor
        super().__init__({"rx": In(1, init=1), "data": Out(BYTE_WIDTH), "valid": Out(1)})

    def elaborate(self, platform):
        m = Module()
        rx = Signal(init=1)
        before = Signal(init=1)
        m.submodules.line = FFSynchronizer(self.rx, rx, init=1)
        m.d.sync += before.eq(rx)
        count = Signal(range(self._divisor))
        n_bits = Signal(range(BYTE_WIDTH + 2))
        busy = Signal()
        samples = Signal()
        is_start = Signal()
        is_stop = Signal()
        m.d.comb += [
            samples.eq(busy & (count == 0)),
            is_start.eq(n_bits == 0),
            is_stop.eq(n_bits == BYTE_WIDTH + 1),
            self.valid.eq(samples & is_stop & rx),
        ]
        with m.If(~busy):
            m.d.sync += [
                busy.eq(before & ~rx),
                count.eq(self._divisor // 2 - 1),
                n_bits.eq(0),
            ]
        with m.Elif(~samples):
            m.d.sync += count.eq(count - 1)
        with m.Else():
            # A start bit that is over in its middle was none.
            m.d.sync += [
                count.eq(self._divisor - 1),
                n_bits.eq(n_bits + 1),
                busy.eq(~(is_stop | (is_start & rx))),
            ]
            with m.If(~is_start & ~is_stop):
                m.d.sync += self.data.eq(Cat(self.data[1:], rx))
        return m


class UartTransmitter(wiring.Component):
    """Sends bytes without a pause between them.

    Parameters
    ----------
    divisor : int
        Cycles of a bit.

    Members
    -------
    i : ``In(stream)`` of 8 bits
    tx : ``Out(1)``
        The line; a register.
    """

    def __init__(self, *, divisor: int):
        check_divisor("UartTransmitter.divisor", divisor)
        self._divisor = divisor
        super().__init__({"i": In(stream.Signature(BYTE_WIDTH)), "tx": Out(1, init=1)})

    def elaborate(self, platform):
        m = Module()
        count = Signal(range(self._divisor))
        n_bits = Signal(range(BYTE_WIDTH + 2))  # still to send after the one on the line
        bits = Signal(BYTE_WIDTH + 1)
        m.d.comb += self.i.ready.eq((count == 0) & (n_bits == 0))
        with m.If(count != 0):
            m.d.sync += count.eq(count - 1)
        with m.Elif(n_bits != 0):
            m.d.sync += [
                self.tx.eq(bits[0]),
                bits.eq(Cat(bits[1:], 1)),
                n_bits.eq(n_bits - 1),
                count.eq(self._divisor - 1),
            ]
        with m.Elif(self.i.valid):
            m.d.sync += [
                self.tx.eq(0),
                bits.eq(Cat(self.i.payload, 1)),
                n_bits.eq(BYTE_WIDTH + 1),
                count.eq(self._divisor - 1),
            ]
        return m
