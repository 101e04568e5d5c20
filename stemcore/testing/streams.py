# SPDX-License-Identifier: Apache-2.0
"""Drivers, sinks and monitors of handshaked streams, for any names, widths and polarities.

An item passes in a cycle in which ``valid`` and ``ready`` are both active. Python wakes up in every
cycle; :mod:`stemcore.testing.hdl_streams` wakes up once an item where that is too slow.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import cocotb
import numpy as np
from cocotb.simtime import get_sim_time
from cocotb.task import Task
from cocotb.triggers import Event

from stemcore.golden.spec.bit_fields import BitFields

from .clock import ClockDomain
from .signals import Item, Payload, read_bit, show
from .stalls import Stall, willing


@dataclass(frozen=True)
class Stream:
    """The signals of one stream, whoever drives them.

    Parameters
    ----------
    domain : ClockDomain
    payload : Payload
    valid : handle
    ready : handle, optional
        Without one, the receiver takes whatever is valid.
    valid_active, ready_active : int
        Levels at which the two say yes: 1, or 0 for names like ``empty_n`` read the other way.
    name : str
        For messages.
    """

    domain: ClockDomain
    payload: Payload
    valid: Any
    ready: Any = None
    valid_active: int = 1
    ready_active: int = 1
    name: str = ""

    def __post_init__(self) -> None:
        for what in ("valid_active", "ready_active"):
            if getattr(self, what) not in (0, 1):
                raise ValueError(f"{what}: must be 0 or 1, got {getattr(self, what)!r}")
        if not self.name:
            object.__setattr__(self, "name", self.valid._path)

    @classmethod
    def of(
        cls,
        dut: Any,
        domain: ClockDomain,
        *,
        valid: str,
        payload: str | Mapping[str, str],
        ready: str | None = None,
        fields: BitFields | Mapping[str, int] | None = None,
        width: int | Mapping[str, int] | None = None,
        valid_active: int = 1,
        ready_active: int = 1,
    ) -> "Stream":
        """A stream by the names of its signals in ``dut``; otherwise as the two classes say.

        ``Stream.of(dut, domain, valid="s_axis_tvalid", ready="s_axis_tready",
        payload={"data": "s_axis_tdata", "last": "s_axis_tlast"})``
        """
        signals: Any = (
            getattr(dut, payload)
            if isinstance(payload, str)
            else {name: getattr(dut, signal) for name, signal in payload.items()}
        )
        return cls(
            domain,
            Payload(signals, fields=fields, width=width),
            getattr(dut, valid),
            None if ready is None else getattr(dut, ready),
            valid_active,
            ready_active,
        )

    @property
    def is_ready(self) -> bool:
        """Whether the receiver takes an item in this cycle."""
        return self.ready is None or read_bit(self.ready) == self.ready_active


class StreamDriver:
    """Sends items in order, one at most a cycle; what is valid stays until it is taken.

    While nothing is valid, the payload shows the complement of what it was: a receiver that looks
    at it all the same is found out. An item that waits when a reset comes is sent after the reset.

    Parameters
    ----------
    stream : Stream
        Whose ``valid`` and payload this object drives.
    gaps : str or iterable of bool
        Pauses between items, see :data:`stemcore.testing.stalls.Stall`.
    rng : numpy generator, optional
        For named patterns but ``free``; see :func:`stemcore.testing.stalls.seeded`.

    Attributes
    ----------
    n_sent : int
        Items that were taken.
    """

    def __init__(
        self, stream: Stream, *, gaps: Stall = "free", rng: np.random.Generator | None = None
    ):
        self._stream, self._willing = stream, willing(gaps, rng)
        self._queue: deque[tuple[Item, Event]] = deque()
        self._news = Event()
        self._edge_at = -1  # time of the last active edge, in simulation steps
        self.n_sent = 0
        stream.valid.value = 1 - stream.valid_active
        self._task = cocotb.start_soon(self._drive())

    def queue(self, items: Iterable[Item]) -> Event:
        """Hands over ``items``; the event is set when all that was handed over has been taken."""
        for item in items:
            self._queue.append((item, Event()))
        if not self._queue:
            done = Event()
            done.set()
            return done
        self._news.set()
        return self._queue[-1][1]

    async def send(self, item: Item) -> None:
        """Returns once ``item`` is taken. If the next one follows at once, no cycle is lost."""
        await self.queue([item]).wait()

    async def send_all(self, items: Iterable[Item]) -> None:
        """Sends ``items``, with no gaps but those of the pattern."""
        await self.queue(items).wait()

    def stop(self) -> None:
        """Ends; ``valid`` stays as it is."""
        self._task.cancel()

    async def _drive(self) -> None:
        stream = self._stream
        while True:
            if not self._queue:
                self._news.clear()
                await self._news.wait()
                if self._edge_at != get_sim_time("step"):
                    await self._edge()
            while stream.domain.in_reset or not next(self._willing):
                await self._edge()
            item, done = self._queue[0]
            stream.payload.write(item)
            stream.valid.value = stream.valid_active
            taken = await self._is_taken()
            stream.valid.value = 1 - stream.valid_active
            stream.payload.write_complement()
            if taken:
                self.n_sent += 1
                self._queue.popleft()
                done.set()

    async def _is_taken(self) -> bool:
        """Returns just after the edge that takes the item, or after a reset came in between."""
        while True:
            await self._stream.domain.middle
            is_cut, is_ready = self._stream.domain.in_reset, self._stream.is_ready
            await self._edge()
            if is_cut or is_ready:
                return not is_cut

    async def _edge(self) -> None:
        await self._stream.domain.edge
        self._edge_at = get_sim_time("step")


class StreamMonitor:
    """Hands every item that passes to ``callback``, and holds the sender to the stream's rules.

    Raises ``AssertionError``, which ends the test, where ``valid`` or a valid payload is undefined,
    and where an item changes or vanishes while it waits.

    Parameters
    ----------
    stream : Stream
    callback : function of an item, optional
        Called just after the edge that took the item. Default: items are kept in ``items``.
    must_wait : bool
        Whether an item once valid must stay until it is taken.

    Attributes
    ----------
    items : list
    n_seen : int
    """

    def __init__(
        self,
        stream: Stream,
        callback: Callable[[Item], None] | None = None,
        *,
        must_wait: bool = True,
    ):
        self.items: list[Item] = []
        self.n_seen = 0
        self._stream, self._must_wait = stream, must_wait
        self._callback = self.items.append if callback is None else callback
        self._task: Task[None] = cocotb.start_soon(self._watch())

    async def _watch(self) -> None:
        stream, domain = self._stream, self._stream.domain
        waiting: Item | None = None
        while True:
            await domain.middle
            if domain.in_reset:
                waiting = None
                continue
            valid = read_bit(stream.valid)
            if valid is None:
                raise self._broken("valid must be 0 or 1, it is undefined")
            item = stream.payload.read() if valid == stream.valid_active else None
            if waiting is not None and item != waiting and self._must_wait:
                got = "nothing" if item is None else show(item)
                raise self._broken(f"{show(waiting)} waits and must stay; got {got}")
            if item is None or not stream.is_ready:
                waiting = item
                continue
            waiting = None
            await domain.edge
            self.n_seen += 1
            self._callback(item)

    def _broken(self, what: str) -> AssertionError:
        cycle = self._stream.domain.cycle
        return AssertionError(f"{self._stream.name}, cycle {cycle}, item {self.n_seen}: {what}")

    def stop(self) -> None:
        """Ends the watch."""
        self._task.cancel()


class StreamSink(StreamMonitor):
    """A monitor that also takes what comes, with stalls: it drives ``ready``.

    Parameters
    ----------
    stream : Stream
        With a ``ready``.
    callback, must_wait
        As for :class:`StreamMonitor`.
    stalls : str or iterable of bool
        Cycles in which nothing is taken, see :data:`stemcore.testing.stalls.Stall`.
    rng : numpy generator, optional
        For named patterns but ``free``.
    """

    def __init__(
        self,
        stream: Stream,
        callback: Callable[[Item], None] | None = None,
        *,
        must_wait: bool = True,
        stalls: Stall = "free",
        rng: np.random.Generator | None = None,
    ):
        if stream.ready is None:
            raise ValueError(f"{stream.name}: a sink needs the stream's ready, it has none")
        super().__init__(stream, callback, must_wait=must_wait)
        self._willing = willing(stalls, rng)
        stream.ready.value = 1 - stream.ready_active
        self._ready_task = cocotb.start_soon(self._stall())

    async def _stall(self) -> None:
        stream = self._stream
        while True:
            await stream.domain.edge
            is_willing = next(self._willing) and not stream.domain.in_reset
            stream.ready.value = stream.ready_active if is_willing else 1 - stream.ready_active

    def stop(self) -> None:
        """Ends; ``ready`` stays as it is."""
        super().stop()
        self._ready_task.cancel()
