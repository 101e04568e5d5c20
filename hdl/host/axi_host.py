# SPDX-License-Identifier: Apache-2.0
"""A chip's host side with AXI: registers, streams, interrupt and the crossing to its clock."""

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from stemcore.golden.spec.codec import CodecParams
from stemcore.golden.spec.fields import Formats
from stemcore.golden.spec.host_registers import (
    ADDRESS_WIDTH,
    HOST_REGISTERS,
    IDENTITY,
    MAJOR,
    MINOR,
    SUPPORTED_COORD_WIDTH,
    codec_word,
    param_words,
)
from stemcore.golden.spec.params import ChipParams

from .axi import AxiLite, AxiStream
from .chip_side import chip_side, forward_chip_side
from .codec import Codec
from .commander import Commander
from .crossing import Crossing
from .register_file import RegisterFile
from .stream_in import WORD_WIDTH, StreamIn
from .stream_out import StreamOut
from .traffic import COUNTED, Traffic
from .write_bursts import WriteBursts


class AxiHost(wiring.Component):
    """Stands between a bus of a host and the host's link of a chip.

    Domain ``sync`` is the bus's, with its reset; the chip has its own clock. What the registers
    mean is in ``stemcore.golden.spec.host_registers``.

    Parameters
    ----------
    params : ChipParams
    columns, rows : int
        Nodes of the chip.
    register_width, stream_width : int
        Bits of data of AXI4-Lite, and of both streams: 32 or 64.
    codec : CodecParams, optional
        Sizes of the :class:`.codec.Codec` between streams and chip, where there is one.

    Members
    -------
    registers : ``In(AxiLite)``
    i : ``In(AxiStream)``, o : ``Out(AxiStream)``
        Flits, as words of 64 bits: :class:`.stream_in.StreamIn`, :class:`.stream_out.StreamOut`;
        into the chip also bursts of WRITEs: :class:`.write_bursts.WriteBursts`.
    interrupt : ``Out(1)``
        Level; a register.
    chip_clk, chip_rst, chip_i, chip_o, chip_quiet
        The chip's: see :func:`.chip_side.chip_side`.
    """

    def __init__(
        self,
        *,
        params: ChipParams,
        columns: int,
        rows: int,
        register_width: int = 32,
        stream_width: int = 64,
        codec: CodecParams | None = None,
    ):
        formats = Formats(params)
        for what, got, limit in (
            ("bits of a flit", formats.flit.width, WORD_WIDTH),
            ("bits of a coordinate", params.coord_width, SUPPORTED_COORD_WIDTH),
            ("columns", columns, params.max_columns),
            ("rows", rows, params.max_rows),
        ):
            if not 1 <= got <= limit:
                raise ValueError(f"AxiHost: {what} must be 1 to {limit}, got {got}")
        self._params, self._columns, self._rows = params, columns, rows
        self._register_width, self._stream_width = register_width, stream_width
        self._codec = codec
        super().__init__(
            {
                "registers": In(AxiLite(address_width=ADDRESS_WIDTH, data_width=register_width)),
                "i": In(AxiStream(data_width=stream_width)),
                "o": Out(AxiStream(data_width=stream_width)),
                "interrupt": Out(1),
                **chip_side(params),
            }
        )

    def _register_file(self):
        def word(name, **values):
            return HOST_REGISTERS[name].layout.pack(**values)

        constants = {
            "IDENTITY": IDENTITY,
            "VERSION": word("VERSION", major=MAJOR, minor=MINOR),
            "MESH": word(
                "MESH",
                columns=self._columns,
                rows=self._rows,
                flit_width=Formats(self._params).flit.width,
                stream_width=self._stream_width,
            ),
            "CODEC_SIZES": codec_word(self._codec),
            **param_words(self._params),
        }
        return RegisterFile(
            registers=tuple(HOST_REGISTERS.values()),
            data_width=self._register_width,
            constants=constants,
            inits={"NODES": word("NODES", x0=0, y0=1, x1=self._columns - 1, y1=self._rows)},
        )

    def elaborate(self, platform):
        m = Module()
        params = self._params
        m.submodules.registers = registers = self._register_file()
        m.submodules.stream_in = into = StreamIn(params=params, data_width=self._stream_width)
        m.submodules.stream_out = out = StreamOut(data_width=self._stream_width)
        m.submodules.commander = commander = Commander(
            params=params, columns=self._columns, rows=self._rows
        )
        m.submodules.crossing = crossing = Crossing(params=params)
        m.submodules.traffic = traffic = Traffic(params=params)
        connect(m, flipped(self.registers), registers.bus)
        connect(m, flipped(self.i), into.i)
        connect(m, out.o, flipped(self.o))
        forward_chip_side(m, outer=self, inner=crossing)
        m.submodules.bursts = bursts = WriteBursts(params=params)
        self._codec_fault = Signal(name="codec_fault")
        connect(m, into.o, bursts.i)
        m.d.comb += [
            bursts.word.eq(into.word),
            bursts.clear.eq(crossing.resetting),
            into.raw.eq(bursts.raw | bursts.passes),
            into.discard.eq(bursts.stops),
        ]
        flits = self._flits(m, registers, bursts, out, crossing, traffic)

        # A command goes before what the stream offers, never between the halves of a word.
        m.d.comb += [
            into.hold.eq(commander.sending),
            flits.ready.eq(crossing.i.ready & ~commander.sending),
            commander.o.ready.eq(crossing.i.ready),
            crossing.i.valid.eq(flits.valid | commander.o.valid),
            crossing.i.payload.eq(flits.payload),
        ]
        with m.If(commander.sending):
            m.d.comb += crossing.i.payload.eq(commander.o.payload)
        m.d.comb += [
            commander.command.eq(registers.command),
            commander.nodes.eq(registers.nodes),
            commander.cancel.eq(crossing.resetting),
            registers.command_refused.eq(
                commander.sending | crossing.resetting | ~commander.inside
            ),
            registers.reset_refused.eq(crossing.resetting),
            crossing.reset.eq(registers.reset.reset),
        ]
        self._watch(m, registers, into, bursts, commander, crossing, traffic)
        return m

    def _flits(self, m, registers, bursts, out, crossing, traffic):
        """What goes to the chip; and the way back."""
        if self._codec is None:
            m.d.comb += [
                out.i.valid.eq(crossing.o.valid),
                out.i.payload.eq(crossing.o.payload),
                out.is_last.eq(traffic.is_last),
                crossing.o.ready.eq(out.i.ready),
            ]
            return bursts.o
        m.submodules.codec = codec = Codec(params=self._params, codec=self._codec)
        connect(m, bursts.o, codec.i)
        connect(m, crossing.o, codec.chip_o)
        connect(m, codec.o, out.i)
        m.d.comb += [
            codec.work.eq(registers.codec.work),
            codec.clear.eq(crossing.resetting),
            codec.word.eq(bursts.word),
            bursts.passes.eq(codec.raw),
            codec.is_last.eq(traffic.is_last),
            out.is_last.eq(codec.last),
            self._codec_fault.eq(codec.refused | codec.beyond),
        ]
        return codec.chip_i

    def _watch(self, m, registers, into, bursts, commander, crossing, traffic):
        """Status, counters, errors and the interrupt."""
        moves_out = crossing.o.valid & crossing.o.ready
        m.d.comb += [
            traffic.flit_in.eq(crossing.i.payload),
            traffic.moves_in.eq(crossing.i.valid & crossing.i.ready),
            traffic.flit_out.eq(crossing.o.payload),
            traffic.moves_out.eq(moves_out),
            *(
                getattr(traffic, name).eq(getattr(registers, name))
                for name in ("sample_ends", "last_kinds", "watchdog")
            ),
            traffic.clear.eq(crossing.resetting),
            *(getattr(registers, name).count.eq(getattr(traffic, name)) for name in COUNTED),
            registers.status.quiet.eq(crossing.quiet),
            registers.status.resetting.eq(crossing.resetting),
            registers.status.sending.eq(commander.sending),
            registers.status.open.eq(traffic.open),
            registers.status.output.eq(self.o.tvalid),
            registers.status.burst.eq(bursts.raw),
            registers.alert.word.eq(traffic.alert),
            registers.errors_set.eq(traffic.errors_set),
            *(registers.errors_set[name].eq(into.faults[name]) for name in ("keep", "truncated")),
            registers.errors_set.beyond.eq(into.faults.beyond | bursts.beyond),
            registers.errors_set.codec.eq(self._codec_fault),
            traffic.clear_alert.eq(registers.errors_cleared.alert),
        ]
        m.d.sync += self.interrupt.eq(
            (registers.interrupt.as_value() & registers.interrupt_enable.as_value()).any()
        )
        for name, stalls in (
            ("stalled_in", self.i.tvalid & ~self.i.tready),
            ("stalled_out", self.o.tvalid & ~self.o.tready),
        ):
            count = getattr(registers, name).count
            m.d.sync += count.eq(count + stalls)
            with m.If(crossing.resetting):
                m.d.sync += count.eq(0)
        was_resetting = Signal(init=1)
        m.d.sync += was_resetting.eq(crossing.resetting)
        m.d.comb += [
            registers.interrupt_set.error.eq(registers.errors_set.as_value().any()),
            registers.interrupt_set.sample.eq(traffic.sample),
            registers.interrupt_set.reset_done.eq(was_resetting & ~crossing.resetting),
            registers.interrupt_set.command_done.eq(commander.done),
        ]
