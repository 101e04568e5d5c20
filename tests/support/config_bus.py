# SPDX-License-Identifier: Apache-2.0
"""Writes and reads words of configuration memories over a ``ConfigBus``, in a testbench."""

from collections.abc import Iterable

from stemcore.golden.spec.fields import Formats, Memory
from stemcore.golden.spec.params import ChipParams
from stemcore.golden.spec.widths import CHUNK_WIDTH

_MASK = (1 << CHUNK_WIDTH) - 1


async def write_words(
    ctx, bus, params: ChipParams, memory: Memory, words: Iterable[int], first: int = 0
) -> None:
    """Stores ``words`` (packed integers) of ``memory`` from word ``first`` on, a chunk a cycle."""
    n_chunks = Formats(params).n_chunks(memory)
    ctx.set(bus.memory, memory.value)
    ctx.set(bus.write, 1)
    for address, word in enumerate(words, first):
        for chunk in range(n_chunks):
            ctx.set(bus.chunk, chunk)
            await ctx.tick()
            # What was announced in the cycle before.
            ctx.set(bus.address, address)
            ctx.set(bus.data, (int(word) >> (CHUNK_WIDTH * chunk)) & _MASK)
    ctx.set(bus.write, 0)
    await ctx.tick()


async def read_words(
    ctx, bus, read_chunk, params: ChipParams, memory: Memory, addresses: Iterable[int]
) -> list[int]:
    """The words of ``memory`` at ``addresses``, read a chunk every three cycles.

    ``read_chunk`` is the answer of the block that holds ``memory``.
    """
    n_chunks = Formats(params).n_chunks(memory)
    words = []
    ctx.set(bus.memory, memory.value)
    for address in addresses:
        word = 0
        for chunk in range(n_chunks):
            ctx.set(bus.chunk, chunk)
            ctx.set(bus.read, 1)
            await ctx.tick()
            ctx.set(bus.address, address)
            ctx.set(bus.read, 0)
            await ctx.tick().repeat(2)
            word |= ctx.get(read_chunk) << (CHUNK_WIDTH * chunk)
        words.append(word)
    return words
