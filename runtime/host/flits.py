# SPDX-License-Identifier: Apache-2.0
"""What the host sends: the flits that configure a chip, start it, feed it and read it back.

Every engine that runs the gateware plays these; a flit is one integer of ``Formats.flit`` (at most
64 bits). The rules of the conversation are in hdl/README.md.
"""

from collections.abc import Sequence
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from stemcore.golden.arithmetic.stem import encode
from stemcore.golden.program.inputs import split_inputs
from stemcore.golden.program.program import CoreImage, Program
from stemcore.golden.spec.fields import Formats, Kind, Memory
from stemcore.golden.spec.registers import RANGES, Control
from stemcore.golden.spec.routing import HOST, Node, Rectangle

from .ranges import spike_ranges

Flits = NDArray[np.uint64]


class Host:
    """Builds flits for one program.

    Raises ``ValueError`` for a chip whose flits do not fit 64 bits.
    """

    def __init__(self, program: Program):
        self.program = program
        self.formats = Formats(program.params)
        if self.formats.flit.width > 64:
            raise ValueError(
                f"{program.name}: a flit must fit 64 bits, got {self.formats.flit.width}; choose "
                "narrower coordinates in the preset"
            )
        self._ranges: dict[Node, list[int]] | None = None
        self._payload_at = np.uint64(
            next(position for field, position, _ in self.formats.flit if field == "payload")
        )

    def flit(self, kind: Kind, rectangle: Rectangle, payload: int = 0) -> int:
        """One flit to the nodes of a rectangle."""
        x0, y0, x1, y1 = rectangle
        return self.formats.flit.pack(
            kind=int(kind), x0=x0, y0=y0, x1=x1, y1=y1, payload=int(payload)
        )

    def pointer(self, node: Rectangle, memory: IntEnum, address: int = 0, chunk: int = 0) -> int:
        """The ADDRESS flit for a place of a memory, of cores or of the codec."""
        payload = self.formats.pointer.pack(memory=int(memory), chunk=chunk, address=address)
        return self.flit(Kind.ADDRESS, node, payload)

    def configuration(self, core: CoreImage, *, skip: frozenset[Memory] = frozenset()) -> Flits:
        """Writes the memories of ``core``, except those in ``skip``.

        Where none is left out, also the ranges of its axons.
        """
        node = (core.x, core.y, core.x, core.y)
        write = np.uint64(self.flit(Kind.WRITE, node))
        parts = []
        for memory, words in core.memories.items():
            if memory in skip or words.size == 0:
                continue
            chunks = words.astype(np.uint64).ravel()
            parts.append(np.array([self.pointer(node, memory)], dtype=np.uint64))
            parts.append(write | (chunks << self._payload_at))
        if not skip:
            ranges = np.array(self.ranges(core), np.uint64)
            parts.append(np.array([self.pointer(node, Memory.CONTROL, RANGES)], dtype=np.uint64))
            parts.append(write | (ranges << self._payload_at))
        return np.concatenate(parts) if parts else np.zeros(0, np.uint64)

    def ranges(self, core: CoreImage) -> list[int]:
        """Words of ``Formats.range`` of the axons of the core at the place of ``core``."""
        if self._ranges is None:
            self._ranges = spike_ranges(self.program)
        return self._ranges[core.x, core.y]

    def start(self, core: CoreImage) -> Flits:
        """Starts ``core``."""
        return self.command((core.x, core.y, core.x, core.y), start=1, clear_counters=1)

    def stop(self, nodes: Rectangle) -> Flits:
        """Brings the cores of a rectangle to the state after configuration, from any other.

        Flits on their way in the mesh may come after it: stop all cores, let the mesh come to rest,
        and stop them again.
        """
        return self.command(nodes, stop=1)

    def command(self, nodes: Rectangle, **does: int) -> Flits:
        """Commands to all cores of a rectangle: names of bits of the field ``command``."""
        word = self.formats.command.pack(
            **{name: does.pop(name, 0) for name, _ in self.formats.command.widths}, **does
        )
        return self.write(nodes, Control.COMMAND, word)

    def write(self, nodes: Rectangle, register: Control, value: int) -> Flits:
        """Writes a control register of all cores of a rectangle."""
        return np.array(
            [
                self.pointer(nodes, Memory.CONTROL, register),
                self.flit(Kind.WRITE, nodes, value),
            ],
            dtype=np.uint64,
        )

    def read(
        self, core: CoreImage, memory: Memory, address: int = 0, n_chunks: int = 1
    ) -> list[Flits]:
        """Requests, each to be sent after the answer to the one before has come."""
        node = (core.x, core.y, core.x, core.y)
        read = self.flit(Kind.READ, node)
        first = np.array([self.pointer(node, memory, address), read], dtype=np.uint64)
        return [first] + [np.array([read], dtype=np.uint64)] * (n_chunks - 1)

    def named_counters(self, words: Sequence[int]) -> dict[str, int]:
        """Counters of a core by the lower-case names of ``Control``, ``sops`` as one; from its
        registers SOPS_LOW to FLAGS."""
        named = {Control(Control.SOPS_LOW + i).name.lower(): word for i, word in enumerate(words)}
        named["sops"] = named.pop("sops_low") + (named.pop("sops_high") << 32)
        flags = self.formats.flags.unpack(named.pop("flags"))
        return named | {"overflow": flags["overflow"]}

    def sample(self, image: NDArray[np.integer]) -> Flits:
        """All :meth:`parts` of one image."""
        return np.concatenate(self.parts(image))

    def parts(self, image: NDArray[np.integer]) -> list[Flits]:
        """Spikes of one image (C, H, W) of input integers, by token period, each with its ENDs.

        Shape ``program.input_shape``, where the host sends several populations.
        """
        program = self.program
        spikes = [
            encode(values[0], population.bits, population.is_signed)
            for values, population in zip(
                split_inputs(program, np.asarray(image)[None]), program.inputs, strict=True
            )
        ]
        n_steps = max(map(len, spikes))
        steps = [self._time_step(t, spikes) for t in range(n_steps)]
        ends = np.array(
            [self.flit(Kind.END, rectangle) for rectangle in program.input_end], dtype=np.uint64
        )
        n = program.params.model.steps_per_period(len(steps))
        periods = [steps[t : t + n] for t in range(0, len(steps), n)]
        return [np.concatenate([*period, ends]).astype(np.uint64) for period in periods]

    def _time_step(self, t: int, spikes: list[NDArray[np.uint8]]) -> Flits:
        """Flits of one time step. Routes take turns, so that all cores of a layer work at once.

        ``spikes``: trains (T, C, H, W) of each population.
        """
        flits, turns = [np.zeros(0, np.uint64)], [np.zeros(0)]
        for route in self.program.input_routes:
            train = spikes[route.population]
            if t >= len(train):
                continue
            (y0, y1), (x0, x1) = route.rows, route.columns
            rectangle = train[t][:, y0 : y1 + 1, x0 : x1 + 1]
            if route.sent is not None:
                rectangle = rectangle & route.neurons(len(rectangle))
            c, y, x = np.nonzero(rectangle)
            payload = self.formats.spike.pack(
                axon=np.full(len(c), route.axon, np.uint64),
                t=np.full(len(c), t, np.uint64),
                c=c.astype(np.uint64),
                y=(y + y0).astype(np.uint64),
                x=(x + x0).astype(np.uint64),
            )
            spike = np.uint64(self.flit(Kind.SPIKE, route.nodes))
            flits.append(spike | (payload << self._payload_at))
            turns.append((np.arange(len(c)) + 0.5) / max(1, len(c)))
        order = np.argsort(np.concatenate(turns), kind="stable")
        return np.concatenate(flits)[order]

    def credits(self) -> Flits:
        """Grants the output cores one more token period."""
        return np.array(
            [self.flit(Kind.CREDIT, (x, y, x, y)) for x, y in self.program.output_cores],
            dtype=np.uint64,
        )


HOST_RECTANGLE: Rectangle = (*HOST, *HOST)
