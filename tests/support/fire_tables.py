# SPDX-License-Identifier: Apache-2.0
"""Contents of the tables of axon-out, and the flits that it must make of them."""

import numpy as np

from stemcore.golden.spec.fields import Formats, Kind, Memory
from tests.support.config_bus import read_words, write_words


class Tables:
    """Contents of the tables of axon-out: ``n`` words with up to ``most`` destinations each."""

    def __init__(self, rng, params, n, *, most=3, fewest=0):
        formats = Formats(params)
        self.params = params
        self.fire = []
        for _ in range(n):
            count = int(rng.integers(fewest, most + 1))
            self.fire.append(
                {
                    "block": int(rng.integers(0, 1 << (params.c_width - params.lane_width))),
                    "y": int(rng.integers(0, 1 << params.y_width)),
                    "x": int(rng.integers(0, 1 << params.x_width)),
                    "start": int(rng.integers(0, params.n_destinations - max(count, 1) + 1)),
                    "count": count,
                }
            )
        self.destinations = [
            {name: int(rng.integers(0, 1 << width)) for name, width in formats.destination.widths}
            for _ in range(params.n_destinations)
        ]
        self.end_list = {"start": 3, "count": int(rng.integers(1, 4))}

    async def load(self, ctx, dut, bits):
        """Writes the tables into an axon-out, reads some words back, and sets its registers."""
        formats = Formats(self.params)
        for memory, layout, contents in (
            (Memory.FIRE, formats.fire, self.fire),
            (Memory.DESTINATION, formats.destination, self.destinations),
        ):
            words = [layout.pack(**entry) for entry in contents]
            await write_words(ctx, dut.config, self.params, memory, words)
            picked = range(0, len(words), 5)
            got = await read_words(ctx, dut.config, dut.read_chunk, self.params, memory, picked)
            assert got == [words[i] for i in picked]
        ctx.set(dut.n_fire, len(self.fire))
        ctx.set(dut.bits, bits)
        ctx.set(dut.end_list.as_value(), formats.token_list.pack(**self.end_list))

    @staticmethod
    async def store(ctx, dut, activations):
        """Writes activation words (words, lanes)."""
        ctx.set(dut.words.valid, 1)
        for address, word in enumerate(activations):
            ctx.set(dut.words.address, address)
            for lane, value in enumerate(word):
                ctx.set(dut.words.word[lane], int(value))
            await ctx.tick()
        ctx.set(dut.words.valid, 0)

    @staticmethod
    async def send(ctx, dut, *, t=0):
        """Commands the firing of the period from step ``t``; returns the cycles of ``busy``."""
        ctx.set(dut.t, t)
        ctx.set(dut.fire, 1)
        await ctx.tick()
        ctx.set(dut.fire, 0)
        ctx.set(dut.t, 7)  # only the cycle of the command counts
        n_cycles = 0
        while ctx.get(dut.busy):
            n_cycles += 1
            await ctx.tick()
        return n_cycles

    def flit(self, kind, entry, payload):
        destination = self.destinations[entry]
        rectangle = {name: destination[name] for name in ("x0", "y0", "x1", "y1")}
        return Formats(self.params).flit.pack(kind=int(kind), **rectangle, payload=payload)

    def ends(self):
        first = self.end_list["start"]
        return [self.flit(Kind.END, first + i, 0) for i in range(self.end_list["count"])]

    def spikes(self, activations, bits, steps=None):
        """Flits of the spikes of activations (words, lanes), in the order of sending.

        ``steps``: of these time steps alone.
        """
        flits = []
        for t in range(bits) if steps is None else steps:
            for word, fire in zip(activations, self.fire, strict=True):
                for entry in range(fire["start"], fire["start"] + fire["count"]):
                    for lane in np.flatnonzero(word >> (bits - 1 - t) & 1):
                        spike = Formats(self.params).spike.pack(
                            axon=self.destinations[entry]["axon"],
                            t=t,
                            c=fire["block"] * self.params.lanes + int(lane),
                            y=fire["y"],
                            x=fire["x"],
                        )
                        flits.append(self.flit(Kind.SPIKE, entry, spike))
        return flits
