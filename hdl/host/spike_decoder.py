# SPDX-License-Identifier: Apache-2.0
"""The spikes of a sample that come out of a chip become bytes."""

from amaranth import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory as RAM
from amaranth.lib.wiring import In, Out

from stemcore.golden.spec.codec import WORD_BYTES, CodecFormats, CodecRegister
from stemcore.golden.spec.fields import Formats, Kind
from stemcore.golden.spec.spike_code import bit_of_step

from ..layouts import flit_stream, struct
from .box_scan import BYTE_WIDTH

SINK, RESULT = CodecRegister.SINK, CodecRegister.RESULT


class SpikeDecoder(wiring.Component):
    """Sets a bit for every spike; sends the words of a sample when its last END has come.

    After reset it clears its memory, a word a cycle. A spike takes five cycles, an END one; a
    sample of n words, which are cleared as they go, n + 1 times two.
    Golden: ``stemcore.runtime.host.protocol.Recorder``.

    Parameters
    ----------
    formats : CodecFormats

    Members
    -------
    sink : ``In(SINK)``, result : ``In(RESULT)``
        The registers of these names.
    header : ``In(64)``
        The word before a sample.
    i : ``In(stream)`` of flits
        SPIKE and END.
    output_address, output : ``Out``, ``In(formats.output)``
        Read port of OUTPUT.
    period : ``Out(1)``
        The last END of a token period is taken in this cycle.
    beyond : ``Out(1)``
        A spike was dropped: of a neuron, a time step or a population that there is not.
    sends : ``Out(1)``
        The words of a sample are being sent, or about to be.
    o : ``Out(stream)`` of words, last : ``Out(1)``
    """

    def __init__(self, *, formats: CodecFormats):
        self._formats = formats
        super().__init__(
            {
                "sink": In(struct(formats.registers[SINK])),
                "result": In(struct(formats.registers[RESULT])),
                "header": In(8 * WORD_BYTES),
                "i": In(flit_stream(formats.params)),
                "output_address": Out(range(formats.codec.n_populations)),
                "output": In(struct(formats.output)),
                "period": Out(1),
                "beyond": Out(1),
                "sends": Out(1),
                "o": Out(stream.Signature(8 * WORD_BYTES)),
                "last": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        codec = self._formats.codec
        depth = codec.n_outputs // WORD_BYTES
        m.submodules.values = values = RAM(shape=8 * WORD_BYTES, depth=depth, init=[])
        write, read = values.write_port(), values.read_port()
        layout = struct(Formats(self._formats.params).spike)
        spike = Signal(layout)
        ends = Signal.like(self.sink.ends)
        periods = Signal.like(self.sink.periods)
        place = Signal(codec.output_width)
        position = Signal(3)
        number = Signal.like(self.result.words)
        completes = Signal()
        inside = Signal()
        m.d.comb += [
            completes.eq(ends + 1 >= self.sink.ends),
            self.last.eq(number == self.result.words),
            read.addr.eq(place[BYTE_WIDTH:]),
            write.addr.eq(place[BYTE_WIDTH:]),
            self._inside(inside, spike),
        ]
        with m.FSM():
            with m.State("CLEAR"):
                m.d.comb += [write.addr.eq(number), write.en.eq(1)]
                m.d.sync += number.eq(number + 1)
                with m.If(number == depth - 1):
                    m.d.sync += number.eq(0)
                    m.next = "TAKE"
            with m.State("TAKE"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += spike.as_value().eq(self.i.payload.payload[: layout.size])
                with m.If(self.i.valid & (self.i.payload.kind == Kind.SPIKE.value)):
                    m.next = "TABLE"
                with m.If(self.i.valid & (self.i.payload.kind == Kind.END.value)):
                    m.d.sync += ends.eq(ends + 1)
                    with m.If(completes):
                        m.d.comb += self.period.eq(1)
                        m.d.sync += [ends.eq(0), periods.eq(periods + 1)]
                        with m.If(periods + 1 >= self.sink.periods):
                            m.d.sync += periods.eq(0)
                            m.next = "HEADER"
            with m.State("TABLE"):
                m.next = "PLACE"
            with m.State("PLACE"):
                base = self.output.base
                m.d.comb += self.beyond.eq(~inside)
                m.d.sync += [
                    place.eq(
                        base + spike.c * self.output.channel + spike.y * self.output.row + spike.x
                    ),
                    position.eq(bit_of_step(self.output.bits, spike.t)),
                ]
                m.next = "READ"
                with m.If(~inside):
                    m.next = "TAKE"
            with m.State("READ"):
                m.next = "WRITE"
            with m.State("WRITE"):
                m.d.comb += [
                    write.data.eq(read.data | (1 << Cat(position, place[:BYTE_WIDTH]))),
                    write.en.eq(1),
                ]
                m.next = "TAKE"
            with m.State("HEADER"):
                m.d.comb += [self.sends.eq(1), self.o.valid.eq(1), self.o.payload.eq(self.header)]
                with m.If(self.o.ready):
                    m.next = "FETCH"
            with m.State("FETCH"):
                m.d.comb += [self.sends.eq(1), read.addr.eq(number)]
                m.d.sync += number.eq(number + 1)
                m.next = "WORD"
            with m.State("WORD"):
                m.d.comb += [
                    self.sends.eq(1),
                    read.addr.eq(number - 1),
                    write.addr.eq(number - 1),
                    self.o.valid.eq(1),
                    self.o.payload.eq(read.data),
                ]
                with m.If(self.o.ready):
                    m.d.comb += write.en.eq(1)
                    m.next = "FETCH"
                    with m.If(self.last):
                        m.d.sync += number.eq(0)
                        m.next = "TAKE"
        self._table(m, spike)
        return m

    def _table(self, m, spike):
        """The population: of the axon, where there are several."""
        with m.If(self.result.by_axon):
            m.d.comb += self.output_address.eq(spike.axon)

    def _inside(self, inside, spike):
        table = self.output
        n_axons = self._formats.params.n_axons
        n_populations = self._formats.codec.n_populations
        known = spike.axon < n_populations if n_axons > n_populations else 1
        return inside.eq(
            (~self.result.by_axon | known)
            & (spike.t < table.bits)
            & (spike.c <= table.c)
            & (spike.y <= table.y)
            & (spike.x <= table.x)
        )
