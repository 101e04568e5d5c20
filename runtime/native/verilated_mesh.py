# SPDX-License-Identifier: Apache-2.0
"""A mesh of compiled nodes: the Python face of runtime/native/engine.cpp."""

import ctypes
import os
import time
from collections.abc import Callable, Sequence
from enum import IntEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stemcore.golden.arithmetic.threads import n_processors
from stemcore.golden.network.network import Population
from stemcore.golden.program.program import CoreImage, Program
from stemcore.golden.spec.fields import Formats, Memory
from stemcore.golden.spec.registers import Control
from stemcore.golden.spec.routing import Node
from stemcore.hdl.export import RAM_NAME, RANGES_SCOPE, memory_scopes

from ..errors import EngineError
from ..host.flits import Host
from .build import MAX_THREADS

# A run of many cycles is cut into slices of about so many seconds; the first is of so many cycles.
# Between two of them Python looks at signals (Ctrl-C) and shows the progress.
SLICE_S, SLICE = 0.25, 20_000
SETTLE_LIMIT = 100_000_000  # cycles in which a mesh that was only written to must come to rest
# A standstill: so many cycles in which no flit moves, and no dendrite and no soma works, anywhere.
# Axon-out may scan empty planes meanwhile, for as many cycles as it has words times time steps.
PATIENCE = 50_000
# Threads that step a mesh together meet twice a cycle, which takes as long as half a node's step.
LEAST_NODES = 3
USUAL_THREADS = 4


class Status(IntEnum):
    """How :meth:`VerilatedMesh.run` came back; the numbers are those of ``stem_run``.

    DONE : what was asked for has come, or nothing moves any more where nothing was asked for
    LIMIT : the cycles are over
    AT_REST : nothing moves any more, and what was asked for has not come
    STANDSTILL : something waits, and nothing has moved for ``PATIENCE`` cycles
    """

    DONE = 0
    LIMIT = 1
    AT_REST = 2
    STANDSTILL = 3


def default_threads() -> int:
    """As many as OMP_NUM_THREADS says, else one a processor, at most ``USUAL_THREADS``."""
    wanted = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if wanted.isdigit() and int(wanted):
        return min(int(wanted), MAX_THREADS)
    return min(n_processors(), USUAL_THREADS)


def wave_scope(x: int, y: int) -> str:
    """The scope in waves that has node (x, y); that of ``Node`` in node.h."""
    return f"node_{x}_{y}"


class VerilatedMesh:
    """A mesh of compiled nodes with a program's size; the low-level face of the engine.

    ``close`` (or leaving a ``with`` block) frees the nodes.

    threads : step the nodes, 1 to ``MAX_THREADS``; the result is the same with any number
    least : nodes at work for each thread; where there are fewer, or where threads wait for a
        processor, one thread steps all; 0: threads always
    """

    def __init__(
        self, library: Path, program: Program, *, threads: int = 1, least: int = LEAST_NODES
    ):
        if not 1 <= threads <= MAX_THREADS:
            raise ValueError(f"threads: must lie in 1..{MAX_THREADS}, got {threads}")
        self._library = ctypes.CDLL(str(library))
        self._library.stem_create.restype = ctypes.c_void_p
        for name in (
            "cycle",
            "done",
            "evaluated",
            "host_flits",
            "errors",
            "recorded",
            "cycles",
            "shared",
            "links",
            "alerts",
        ):
            getattr(self._library, f"stem_{name}").restype = ctypes.c_int64
        self.program = program
        self.host = Host(program)
        self.formats = Formats(program.params)
        self._scopes = memory_scopes(program.params)
        self._mesh = ctypes.c_void_p(
            self._library.stem_create(
                *map(ctypes.c_int, (program.columns, program.rows, threads, least))
            )
        )
        self._buffers: list[np.ndarray] = []  # kept alive while the mesh writes to them

    def __enter__(self) -> "VerilatedMesh":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Frees the nodes; closes waves."""
        if self._mesh:
            self._library.stem_destroy(self._mesh)
            self._mesh = ctypes.c_void_p()

    def number(self, x: int, y: int) -> int:
        """Number of node (x, y) in the native mesh."""
        return (y - 1) * self.program.columns + x

    def load(self, core: CoreImage) -> None:
        """Copies the memories of ``core`` straight into the model; registers go over the mesh."""
        for memory, words in core.memories.items():
            if memory is not Memory.CONTROL:
                self._memory(core.x, core.y, memory, np.ascontiguousarray(words, np.uint32), True)
        ranges = np.array(self.host.ranges(core), np.uint32)
        what = "the ranges of axons must be a memory"
        self._variable(core.x, core.y, RANGES_SCOPE, RAM_NAME, ranges, True, what)
        others = frozenset(Memory) - {Memory.CONTROL}
        self.send(self.host.configuration(core, skip=others))

    def peek(self, x: int, y: int, memory: Memory, n_words: int) -> NDArray[np.uint32]:
        """The first words of a memory, as they are in the model."""
        words = np.zeros((n_words, self.formats.n_chunks(memory)), np.uint32)
        self._memory(x, y, memory, words, False)
        return words

    def _memory(
        self, x: int, y: int, memory: Memory, words: NDArray[np.uint32], store: bool
    ) -> None:
        what = f"{memory.name} must be a memory of {words.shape[0]} words or more"
        for scope in self._scopes[memory]:
            self._variable(x, y, scope, RAM_NAME, words, store, what)

    def _variable(
        self,
        x: int,
        y: int,
        scope: str,
        name: str,
        words: NDArray[np.uint32],
        store: bool,
        what: str,
    ) -> None:
        status = self._library.stem_memory(
            self._mesh,
            ctypes.c_int(self.number(x, y)),
            scope.encode(),
            name.encode(),
            words.ctypes.data_as(ctypes.c_void_p),
            ctypes.c_int64(words.shape[0]),
            ctypes.c_int64(words.shape[1] if words.ndim > 1 else 1),
            ctypes.c_int(store),
        )
        if status:
            reason = "has no public" if status == -1 else "is too small:"
            raise EngineError(
                f"node ({x}, {y}): {what}; {scope} {reason} {name}; what is compiled does not fit: "
                "remove it with 'stemcore info --clear-cache' and run again"
            )

    def send(self, flits: NDArray[np.uint64]) -> None:
        """Queues flits of the host; they go out as the mesh takes them."""
        flits = np.ascontiguousarray(flits, np.uint64)
        self._library.stem_send_raw(
            self._mesh, flits.ctypes.data_as(ctypes.c_void_p), ctypes.c_int64(len(flits))
        )

    def watch(self, x: int, y: int, scope: str, name: str) -> int:
        """A register of a node, one of ``stemcore.runtime.native.build.WATCHED``."""
        words = np.zeros((1, 1), np.uint32)
        self._variable(x, y, scope, name, words, False, "the register")
        return int(words[0, 0])

    def ports(self, x: int, y: int) -> NDArray[np.uint64]:
        """What stands on the links of a node: shape (4, 6), as in :meth:`links`."""
        values = np.zeros((4, 6), np.uint64)
        self._library.stem_ports(
            self._mesh,
            ctypes.c_int(self.number(x, y)),
            values.ctypes.data_as(ctypes.c_void_p),
        )
        return values

    def run(self, *, samples: int = -1, replies: int = 0, limit: int = SLICE) -> Status:
        """Runs at most ``limit`` cycles, until ``samples`` samples and ``replies`` replies are out.

        With neither, until nothing moves.
        """
        return Status(
            self._library.stem_run(
                self._mesh,
                ctypes.c_int64(samples),
                ctypes.c_int64(replies),
                ctypes.c_int64(limit),
                ctypes.c_int64(PATIENCE),
            )
        )

    def run_sliced(
        self, *, samples: int = -1, limit: int, look: Callable[[], None] = lambda: None
    ) -> Status:
        """As :meth:`run`, slice by slice; ``look`` is called after each.

        Slices change nothing but how often Python has a say.
        """
        cycles, end = SLICE, self.cycle + limit
        while True:
            started = time.perf_counter()
            status = self.run(samples=samples, limit=min(cycles, end - self.cycle))
            look()
            if status is not Status.LIMIT or self.cycle >= end:
                return status
            # At most twice as many as before: the work of a cycle differs from phase to phase.
            ratio = SLICE_S / max(time.perf_counter() - started, 1e-6)
            cycles = max(1, int(cycles * min(ratio, 2.0)))

    def settle(self, limit: int = SETTLE_LIMIT) -> Status:
        """Runs until nothing moves: ``DONE``, or why it is not so.

        :func:`stemcore.runtime.native.watchdog.settled` raises an error instead.
        """
        return self.run_sliced(limit=limit)

    def read(self, core: CoreImage, memory: Memory, address: int, n_chunks: int = 1) -> list[int]:
        """Reads chunks over the mesh."""
        values = []
        for request in self.host.read(core, memory, address, n_chunks):
            self.send(request)
            if self.run(samples=0, replies=1, limit=100_000) is not Status.DONE:
                raise EngineError(
                    f"node ({core.x}, {core.y}): a READ must be answered; no answer came in "
                    "100000 cycles. A core that runs answers for CONTROL alone: stop it first"
                )
            value = np.zeros(1, np.uint32)
            self._library.stem_take_replies(
                self._mesh, value.ctypes.data_as(ctypes.c_void_p), ctypes.c_int64(1)
            )
            values.append(int(value[0]))
        return values

    def counters(self, core: CoreImage) -> dict[str, int]:
        """The counters of a core, by the lower-case names of ``Control``; ``sops`` as one."""
        first, last = Control.SOPS_LOW, Control.FLAGS
        words = self.read(core, Memory.CONTROL, first, last - first + 1)
        return self.host.named_counters(words)

    def statuses(self) -> dict[Node, int]:
        """The register STATUS of every core, read over the mesh."""
        return {
            (core.x, core.y): self.read(core, Memory.CONTROL, Control.STATUS)[0]
            for core in self.program.cores
        }

    def alerts(self) -> list[int]:
        """First errors of cores, as their alerts named them: words of ``Formats.errors``."""
        n = int(self._library.stem_alerts(self._mesh, None, ctypes.c_int64(0)))
        words = np.zeros(n, np.uint32)
        self._library.stem_alerts(
            self._mesh, words.ctypes.data_as(ctypes.c_void_p), ctypes.c_int64(n)
        )
        return [int(word) for word in words]

    def forget(self) -> None:
        """The host begins anew, and recorders do: what they sent, owe and have seen is dropped.

        For a mesh that was stopped; a flit that stands on the host's link goes out all the same.
        """
        self._library.stem_forget(self._mesh)
        self._buffers.clear()

    def record(
        self,
        node: int,
        values: NDArray[np.uint8],
        populations: Sequence[Population],
        ends: int,
    ) -> None:
        """Lets a node write what it fires into ``values`` (N, C, H, W), or, for -1, what the host
        receives of ``populations``, which the axons of its spikes number: (N, E, 1, 1) of several.

        ``ends`` complete a sample.
        """
        assert values.flags.c_contiguous
        self._buffers.append(values)
        table = np.array([(*p.shape, p.bits) for p in populations], np.int64)
        self._library.stem_record(
            self._mesh,
            ctypes.c_int(node),
            values.ctypes.data_as(ctypes.c_void_p),
            table.ctypes.data_as(ctypes.c_void_p),
            ctypes.c_int64(len(table)),
            ctypes.c_int64(values.shape[0]),
            ctypes.c_int64(ends),
        )

    def errors(self, node: int) -> int:
        """Spikes seen at a node (-1: host) that no correct core fires."""
        return int(self._library.stem_errors(self._mesh, ctypes.c_int(node)))

    def recorded(self, node: int) -> int:
        """Samples that a node (-1: the host's end) has been seen to finish."""
        return int(self._library.stem_recorded(self._mesh, ctypes.c_int(node)))

    def cycles(self, node: int, n: int) -> NDArray[np.int64]:
        """Cycles at which samples ended (see ``stem_cycles``)."""
        values = np.zeros(n, np.int64)
        count = self._library.stem_cycles(
            self._mesh,
            ctypes.c_int(node),
            values.ctypes.data_as(ctypes.c_void_p),
            ctypes.c_int64(n),
        )
        return values[: min(n, count)]

    @property
    def cycle(self) -> int:
        """Clock cycles since reset."""
        return int(self._library.stem_cycle(self._mesh))

    @property
    def shared_cycles(self) -> int:
        """Clock cycles in which several threads stepped the nodes."""
        return int(self._library.stem_shared(self._mesh))

    @property
    def samples_done(self) -> int:
        """Samples that have come out."""
        return int(self._library.stem_done(self._mesh))

    def evaluated(self, node: int) -> int:
        """Cycles in which a node was stepped (not skipped)."""
        return int(self._library.stem_evaluated(self._mesh, ctypes.c_int(node)))

    def active(self, node: int) -> bool:
        """Whether a node is at work."""
        return bool(self._library.stem_active(self._mesh, ctypes.c_int(node)))

    def prepare_host(self, images: NDArray[np.int64]) -> None:
        """Hands the host its images and its part of the token protocol."""
        credits = np.ascontiguousarray(self.host.credits())
        self._library.stem_host(
            self._mesh,
            ctypes.c_int64(self.program.input_credits),
            ctypes.c_int64(max(1, self.program.output_ends)),
            credits.ctypes.data_as(ctypes.c_void_p),
            ctypes.c_int64(len(credits)),
        )
        for image in images:
            for number, part in enumerate(self.host.parts(image)):
                flits = np.ascontiguousarray(part)
                self._library.stem_part(
                    self._mesh,
                    ctypes.c_int(number == 0),
                    flits.ctypes.data_as(ctypes.c_void_p),
                    ctypes.c_int64(len(flits)),
                )

    def links(self) -> NDArray[np.uint64]:
        """What stood on all links in every cycle since the first call, which starts the recording.

        Shape (cycles, nodes, ports, 6): N, E, S, W; i valid, payload, ready, o valid, payload,
        ready.
        """
        link = (self.program.columns * self.program.rows, 4, 6)
        n = int(self._library.stem_links(self._mesh, None, ctypes.c_int64(0)))
        values = np.zeros(n, np.uint64)
        self._library.stem_links(
            self._mesh, values.ctypes.data_as(ctypes.c_void_p), ctypes.c_int64(n)
        )
        return values.reshape(-1, *link)

    def trace(self, node: int, path: Path) -> None:
        """Writes FST waves of a node from now on; the library must be built with ``waves``."""
        self._library.stem_trace(self._mesh, ctypes.c_int(node), str(path).encode())
