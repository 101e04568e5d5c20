# SPDX-License-Identifier: Apache-2.0
"""A memory that the host configures by chunks and the core reads by words."""

from collections.abc import Sequence

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory as RAM
from amaranth.lib.wiring import In, Out

from golden.fields import Formats, Memory
from golden.params import CHUNK_WIDTH, ChipParams

from ..layouts import ConfigBus


def pick(values: Sequence[Value], index: Value) -> Value:
    """``values[index]`` as a tree of two-way multiplexers, the smaller form on FPGAs.

    What an index beyond the values gives is undefined.
    """
    if len(values) == 1:
        return values[0]
    pairs = zip(values[0::2], values[1::2], strict=False)
    halved = [Mux(index[0], odd, even) for even, odd in pairs]
    if len(values) % 2:
        halved.append(values[-1])
    return pick(halved, index[1:])


class ConfigMemory(wiring.Component):
    """One memory of the configuration map with a read port for the core.

    ``data`` is the word at ``address``, one cycle after ``enable``; it holds while ``enable`` is
    low. A read in the cycle of a write to the same word returns the old word.
    Words wider than a chunk are written by chunks; bits of the last chunk beyond the word do not
    exist and read as zero. ``config.read`` takes the port over for one cycle and answers on
    ``read_chunk`` in the next.

    Parameters
    ----------
    params : ChipParams
    memory : golden.fields.Memory
        Which memory this is; sets width and depth.

    Members
    -------
    config : ``In(ConfigBus())``
    read_chunk : ``Out(32)``
        Answer to ``config.read``; meaningful in the cycle after it, when it was for this memory.
    address, enable : ``In``
        Word address and read enable.
    data : ``Out(width)``
        The word.
    """

    def __init__(self, *, params: ChipParams, memory: Memory):
        formats = Formats(params)
        layout, self._depth = formats.memory(memory)
        self._memory = memory
        self._width = layout.width
        self._n_chunks = formats.n_chunks(memory)
        super().__init__(
            {
                "config": In(ConfigBus()),
                "read_chunk": Out(CHUNK_WIDTH),
                "address": In(range(self._depth)),
                "enable": In(1),
                "data": Out(self._width),
            }
        )

    def elaborate(self, platform):
        m = Module()
        n_chunks = self._n_chunks
        shape = data.ArrayLayout(CHUNK_WIDTH, n_chunks) if n_chunks > 1 else self._width
        m.submodules.ram = ram = RAM(shape=shape, depth=self._depth, init=[])
        write = ram.write_port(granularity=1) if n_chunks > 1 else ram.write_port()
        read = ram.read_port()

        selected = Signal()
        m.d.comb += [
            selected.eq(self.config.memory == self._memory.value),
            write.addr.eq(self.config.address),
            read.addr.eq(Mux(self.config.read, self.config.address, self.address)),
            read.en.eq(self.enable | (self.config.read & selected)),
        ]
        if n_chunks > 1:
            word = read.data.as_value()[: self._width]
            chunks = [word.word_select(i, CHUNK_WIDTH) for i in range(n_chunks)]
            chunk = Signal.like(self.config.chunk)
            m.d.sync += chunk.eq(self.config.chunk)
            m.d.comb += [
                write.data.eq(Cat(self.config.data for _ in range(n_chunks))),
                write.en.eq(
                    Cat(
                        self.config.write & selected & (self.config.chunk == i)
                        for i in range(n_chunks)
                    )
                ),
                self.read_chunk.eq(pick(chunks, chunk)),
                self.data.eq(word),
            ]
        else:
            m.d.comb += [
                write.data.eq(self.config.data),
                write.en.eq(self.config.write & selected),
                self.read_chunk.eq(read.data),
                self.data.eq(read.data),
            ]
        return m
