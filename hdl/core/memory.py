# SPDX-License-Identifier: Apache-2.0
"""A memory that the host configures by chunks and the core reads by words."""

from collections.abc import Sequence

from amaranth import Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory as RAM
from amaranth.lib.wiring import In, Out

from stemcore.golden.spec.fields import Formats, Memory
from stemcore.golden.spec.params import ChipParams
from stemcore.golden.spec.widths import CHUNK_WIDTH, bits_for

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

    ``data`` is the word at ``address``, one cycle after ``enable``, or two with ``registered``; it
    holds while ``enable`` is low. A word is written in the cycle after ``config.write``; a read of
    the same word in that cycle returns the old word. Words wider than a chunk are written by
    chunks; bits of the last chunk beyond the word do not exist and read as zero; chunks beyond the
    word are not to be written. ``config.read`` of this memory takes the port over for the cycle
    after it; a read of another memory changes nothing here.

    Parameters
    ----------
    params : ChipParams
    memory : stemcore.golden.spec.fields.Memory
        Which memory this is; sets width and depth.
    registered : bool
        A register behind the memory, whose own outputs are slow on FPGAs.

    Members
    -------
    config : ``In(ConfigBus())``
    read_chunk : ``Out(32)``
        Answer to the last ``config.read`` of this memory, from the third cycle after it on.
    address, enable : ``In``
        Word address and read enable.
    data : ``Out(width)``
        The word.
    """

    def __init__(self, *, params: ChipParams, memory: Memory, registered: bool = False):
        formats = Formats(params)
        layout, self._depth = formats.memory(memory)
        self._memory = memory
        self._registered = registered
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
        written = Signal(n_chunks)
        taken = Signal()
        word = Value.cast(read.data)[: self._width]
        m.d.comb += [
            selected.eq(self.config.memory == self._memory.value),
            write.addr.eq(self.config.address),
            write.data.as_value().eq(self.config.data.replicate(n_chunks))
            if n_chunks > 1
            else write.data.eq(self.config.data),
            read.addr.eq(Mux(taken, self.config.address, self.address)),
            read.en.eq(self.enable | taken),
        ]
        # A register: a block memory may lie far from what enables it. Of the bits that tell this
        # memory's chunks apart, since there is no write of others.
        chunk_written = self.config.chunk[: bits_for(n_chunks)]
        for i in range(n_chunks):
            is_chunk = chunk_written == i if n_chunks > 1 else 1
            m.d.sync += written[i].eq(self.config.write & selected & is_chunk)
        m.d.comb += write.en.eq(written)

        # Only a read of this memory takes the port: the core may be at work in all others. From a
        # register: the address chooses between both, and memories are large.
        m.d.sync += taken.eq(self.config.read & selected)
        chunk = Signal.like(self.config.chunk, reset_less=True)
        with m.If(self.config.read):
            m.d.sync += chunk.eq(self.config.chunk)
        # Block memories are slow on FPGAs: a multiplexer behind one needs a register between them.
        fetched = Signal()
        stored = Signal.like(self.data, reset_less=True)
        m.d.sync += fetched.eq(read.en if self._registered else taken)
        with m.If(fetched):
            m.d.sync += stored.eq(word)
        m.d.comb += [
            self.data.eq(stored if self._registered else word),
            self.read_chunk.eq(self._chunk(stored, chunk)),
        ]
        return m

    def _chunk(self, word, index):
        chunks = [word.word_select(i, CHUNK_WIDTH) for i in range(self._n_chunks)]
        return pick(chunks, index)
