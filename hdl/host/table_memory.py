# SPDX-License-Identifier: Apache-2.0
"""A memory of the codec that the host writes and reads back by chunks."""

from amaranth import Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory as RAM
from amaranth.lib.wiring import In, Out

from stemcore.golden.spec.bit_fields import BitFields
from stemcore.golden.spec.widths import CHUNK_WIDTH

from ..core.memory import pick
from ..layouts import ConfigBus, struct


class TableMemory(wiring.Component):
    """Words of a layout; ``data`` is the word at ``address``, one cycle later.

    ``config.read`` takes the port over for the cycle after it, so that the host reads while nothing
    is at work; ``read_chunk`` answers from the third cycle after it on.

    Parameters
    ----------
    number : int
        As ``config.memory`` names it.
    layout : BitFields
    depth : int
        Words, a power of two.

    Members
    -------
    config : ``In(ConfigBus())``
    read_chunk : ``Out(32)``
    address : ``In``
    data : ``Out(layout)``
    """

    def __init__(self, *, number: int, layout: BitFields, depth: int):
        self._number, self._layout, self._depth = number, layout, depth
        super().__init__(
            {
                "config": In(ConfigBus()),
                "read_chunk": Out(CHUNK_WIDTH),
                "address": In(range(depth)),
                "data": Out(struct(layout)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        n_chunks = -(-self._layout.width // CHUNK_WIDTH)
        shape = data.ArrayLayout(CHUNK_WIDTH, n_chunks)
        m.submodules.ram = ram = RAM(shape=shape, depth=self._depth, init=[])
        write, read = ram.write_port(granularity=1), ram.read_port()
        selected = Signal()
        written = Signal(n_chunks)
        taken = Signal()
        chunk = Signal.like(config.chunk)
        m.d.sync += taken.eq(config.read & selected)
        with m.If(config.read):
            m.d.sync += chunk.eq(config.chunk)
        for i in range(n_chunks):
            m.d.sync += written[i].eq(config.write & selected & (config.chunk == i))
        m.d.comb += [
            selected.eq(config.memory == self._number),
            write.addr.eq(config.address),
            write.data.as_value().eq(config.data.replicate(n_chunks)),
            write.en.eq(written),
            read.addr.eq(Mux(taken, config.address, self.address)),
            self.data.as_value().eq(Value.cast(read.data)[: self._layout.width]),
        ]
        # Bits beyond the word do not exist.
        word = Value.cast(read.data)[: self._layout.width]
        chunks = [word.word_select(i, CHUNK_WIDTH) for i in range(n_chunks)]
        asked = Signal()
        m.d.sync += asked.eq(taken)
        with m.If(asked):
            m.d.sync += self.read_chunk.eq(pick(chunks, chunk))
        return m
