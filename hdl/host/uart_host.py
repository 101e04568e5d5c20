# SPDX-License-Identifier: Apache-2.0
"""A chip's host side with a serial line: registers, flits and the crossing to its clock."""

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from stemcore.golden.spec.codec import CodecParams
from stemcore.golden.spec.params import ChipParams

from .axi_host import AxiHost
from .chip_side import chip_side, forward_chip_side
from .stream_in import WORD_WIDTH
from .uart import UartReceiver, UartTransmitter
from .uart_link import UartLink


class UartHost(wiring.Component):
    """Stands between two pins and the host's link of a chip.

    Inside is an :class:`.axi_host.AxiHost` with all its registers, before it a
    :class:`.uart_link.UartLink`. Domain ``sync`` is the host side's clock, with its reset; the chip
    has its own, which may be the same. The line has 8 bits, no parity and one stop bit at
    ``clock / divisor`` baud; a receiver stands 2 % of error, so that a clock of 25 MHz and divisor
    25 make 1 Mbaud.

    Parameters
    ----------
    params : ChipParams
    columns, rows : int
        Nodes of the chip.
    divisor : int
        Cycles of ``sync`` for each bit, 2 or more; 8 or more for a line that is not simulated.
    codec : CodecParams, optional
        As of ``AxiHost``.

    Members
    -------
    rx : ``In(1)``, tx : ``Out(1)``
        The line: from the host, and to it. High at rest; ``rx`` of any clock.
    interrupt : ``Out(1)``
        Of the registers: INTERRUPT and INTERRUPT_ENABLE.
    chip_clk, chip_rst, chip_i, chip_o, chip_quiet
        The chip's: see :func:`.chip_side.chip_side`.
    """

    def __init__(
        self,
        *,
        params: ChipParams,
        columns: int,
        rows: int,
        divisor: int,
        codec: CodecParams | None = None,
    ):
        self._host = AxiHost(
            params=params,
            columns=columns,
            rows=rows,
            register_width=32,
            stream_width=WORD_WIDTH,
            codec=codec,
        )
        self._receiver = UartReceiver(divisor=divisor)
        self._transmitter = UartTransmitter(divisor=divisor)
        super().__init__(
            {
                "rx": In(1, init=1),
                "tx": Out(1, init=1),
                "interrupt": Out(1),
                **chip_side(params),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.host = host = self._host
        m.submodules.receiver = receiver = self._receiver
        m.submodules.transmitter = transmitter = self._transmitter
        m.submodules.link = link = UartLink()
        m.d.comb += [
            receiver.rx.eq(self.rx),
            self.tx.eq(transmitter.tx),
            link.rx_data.eq(receiver.data),
            link.rx_valid.eq(receiver.valid),
            self.interrupt.eq(host.interrupt),
        ]
        connect(m, link.tx, transmitter.i)
        connect(m, link.registers, host.registers)
        connect(m, link.o, host.i)
        connect(m, host.o, link.i)
        forward_chip_side(m, outer=self, inner=host)
        return m
