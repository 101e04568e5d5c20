# SPDX-License-Identifier: Apache-2.0
"""The host of a program as a testbench, at any pair of flit streams, with stalls."""

from collections.abc import Sequence

import numpy as np
from amaranth.hdl import Value

from stemcore.golden.program.program import Program
from stemcore.runtime.host.protocol import Protocol
from stemcore.testing import willing

REST = 60  # cycles after which a core that has ended its last sample has come to rest


class Player:
    """Configures, starts and feeds; then sends ``reads``, each when the one before is answered.

    ``i`` and ``o`` are the streams into and out of the design. Ends when all samples and answers
    have come out.

    Attributes
    ----------
    protocol : stemcore.runtime.host.protocol.Protocol
        Values and answers received.
    flits : list[int]
        Everything that came out.
    """

    def __init__(
        self,
        program: Program,
        images: np.ndarray,
        i: object,
        o: object,
        *,
        reads: Sequence[Sequence[int]] = (),
        stall: str = "free",
        rng: np.random.Generator | None = None,
    ):
        self._i, self._o = i, o
        self._n_images, self._reads = len(images), reads
        self.protocol = Protocol(program, images)
        self.flits: list[int] = []
        self._sending, self._taking = willing(stall, rng), willing(stall, rng)
        self._offered: int | None = None

    async def _cycle(self, ctx) -> None:
        protocol = self.protocol
        if self._offered is None and next(self._sending):
            self._offered = protocol.offer()
        ctx.set(self._i.valid, self._offered is not None)
        ctx.set(Value.cast(self._i.payload), self._offered or 0)
        ready = next(self._taking)
        ctx.set(self._o.ready, ready)
        _, _, taken, valid, flit = await ctx.tick().sample(
            self._i.ready, self._o.valid, Value.cast(self._o.payload)
        )
        if self._offered is not None and taken:
            protocol.taken()
            self._offered = None
        if valid and ready:
            self.flits.append(flit)
            protocol.receive(flit)

    async def drive(self, ctx) -> None:
        """The testbench."""
        protocol = self.protocol
        while protocol.samples_done < self._n_images:
            await self._cycle(ctx)
        for _ in range(REST):
            await self._cycle(ctx)
        for number, request in enumerate(self._reads, 1):
            protocol.send([int(flit) for flit in request])
            while len(protocol.replies) < number:
                await self._cycle(ctx)
        for _ in range(REST):
            await self._cycle(ctx)
