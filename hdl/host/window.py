# SPDX-License-Identifier: Apache-2.0
"""Streams of flits behind registers, for hosts that read and write memory alone."""

from amaranth import Cat, Module, ResetInserter
from amaranth.lib import wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out, connect, flipped

from stemcore.golden.spec.codec import CodecParams
from stemcore.golden.spec.host_registers import ADDRESS_WIDTH, REGISTER_WIDTH
from stemcore.golden.spec.host_window import WINDOW_DEPTH, WINDOW_REGISTERS
from stemcore.golden.spec.params import ChipParams

from .axi import AxiLite, AxiStream
from .axi_host import AxiHost
from .chip_side import chip_side, forward_chip_side
from .register_file import RegisterFile
from .stream_in import WORD_WIDTH


class StreamWindow(wiring.Component):
    """The registers of ``stemcore.golden.spec.host_window`` before two streams of 64 bits.

    Members
    -------
    bus : ``In(AxiLite)``
    o : ``Out(AxiStream)``, i : ``In(AxiStream)``
        To the host side, and from it. A beat that ``o`` offers goes with CLEAR.
    """

    def __init__(self):
        super().__init__(
            {
                "bus": In(AxiLite(address_width=ADDRESS_WIDTH, data_width=REGISTER_WIDTH)),
                "o": Out(AxiStream(data_width=WORD_WIDTH)),
                "i": In(AxiStream(data_width=WORD_WIDTH)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.registers = registers = RegisterFile(
            registers=tuple(WINDOW_REGISTERS.values()),
            data_width=REGISTER_WIDTH,
            constants={},
            inits={},
        )
        connect(m, flipped(self.bus), registers.bus)
        clear = registers.clear.clear
        to_chip = SyncFIFOBuffered(width=WORD_WIDTH, depth=WINDOW_DEPTH)
        from_chip = SyncFIFOBuffered(width=WORD_WIDTH, depth=WINDOW_DEPTH)
        m.submodules.to_chip = ResetInserter(clear)(to_chip)
        m.submodules.from_chip = ResetInserter(clear)(from_chip)
        m.d.comb += [
            to_chip.w_data.eq(Cat(registers.flit_low.word, registers.flit_high.word)),
            to_chip.w_en.eq(registers.send.send),
            registers.send_refused.eq(~to_chip.w_rdy),
            self.o.tdata.eq(to_chip.r_data),
            self.o.tkeep.eq(-1),
            self.o.tlast.eq(1),
            self.o.tvalid.eq(to_chip.r_rdy),
            to_chip.r_en.eq(self.o.tready),
            from_chip.w_data.eq(self.i.tdata),
            from_chip.w_en.eq(self.i.tvalid),
            self.i.tready.eq(from_chip.w_rdy),
            Cat(registers.head_low.word, registers.head_high.word).eq(from_chip.r_data),
            from_chip.r_en.eq(registers.take.take),
            registers.take_refused.eq(~from_chip.r_rdy),
            # A flit on its way to the buffered end can be counted, and not taken yet: not waiting.
            registers.levels.waiting.eq(from_chip.r_rdy),
            registers.levels.room.eq(WINDOW_DEPTH - to_chip.w_level),
        ]
        with m.If(from_chip.r_rdy):
            m.d.comb += registers.levels.waiting.eq(from_chip.r_level)
        return m


class MappedHost(wiring.Component):
    """A chip's host side in memory: :class:`.axi_host.AxiHost` and a :class:`StreamWindow`.

    Parameters
    ----------
    params, columns, rows, codec
        As of ``AxiHost``.

    Members
    -------
    registers, window : ``In(AxiLite)``
        Two pages of 4 KiB; the second directly above the first, where one driver maps both.
    interrupt, chip_clk, chip_rst, chip_i, chip_o, chip_quiet
        As of ``AxiHost``.
    """

    def __init__(
        self, *, params: ChipParams, columns: int, rows: int, codec: CodecParams | None = None
    ):
        self._host = AxiHost(
            params=params,
            columns=columns,
            rows=rows,
            register_width=32,
            stream_width=WORD_WIDTH,
            codec=codec,
        )
        bus = AxiLite(address_width=ADDRESS_WIDTH, data_width=REGISTER_WIDTH)
        super().__init__(
            {
                "registers": In(bus),
                "window": In(bus),
                "interrupt": Out(1),
                **chip_side(params),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.host = host = self._host
        m.submodules.window = window = StreamWindow()
        m.d.comb += self.interrupt.eq(host.interrupt)
        connect(m, flipped(self.registers), host.registers)
        connect(m, flipped(self.window), window.bus)
        connect(m, window.o, host.i)
        connect(m, host.o, window.i)
        forward_chip_side(m, outer=self, inner=host)
        return m
