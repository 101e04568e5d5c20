# SPDX-License-Identifier: Apache-2.0
"""Drivers, monitors and scoreboards for the modules of tests/cocotb/streams.v.

The clock runs in HDL; Python wakes once per transfer. All times are in cycles of ``PERIOD_NS``.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import cocotb
import numpy as np
from cocotb.simtime import get_sim_time
from cocotb.triggers import Event, Timer, ValueChange, with_timeout

PERIOD_NS = 10  # of the benches' clocks
PACES = {"free": 0, "half": 1, "third": 2, "rare": 7}  # willing in one of pace + 1 cycles


def set_pace(pauses: Any, stall: str, rng: np.random.Generator) -> None:
    """Lets a source or sink pause as ``stall`` says (a key of ``PACES``); before :func:`reset`."""
    pauses.pace.value = PACES[stall]
    pauses.seed.value = int(rng.integers(1, 1 << 32))


async def cycles(n: int) -> None:
    """Waits ``n`` clock cycles."""
    await Timer(n * PERIOD_NS, unit="ns")


def cycle() -> int:
    """Number of the clock edge that is just past."""
    return int(get_sim_time("ns")) // PERIOD_NS


async def reset(dut: Any) -> None:
    """Holds ``dut.rst`` for some cycles."""
    dut.rst.value = 1
    await cycles(4)
    dut.rst.value = 0


class StreamDriver:
    """Sends items through a ``stream_source``, at its pace.

    Parameters
    ----------
    source : handle of the ``stream_source``
    """

    def __init__(self, source: Any):
        self._source = source
        source.offered.value = 0

    async def send(self, item: int) -> None:
        """Returns once ``item`` is taken. If the next one follows at once, no cycle is lost."""
        source = self._source
        source.item.value = item
        source.offered.value = 1
        await ValueChange(source.taken)
        # Of several writes in one time step the last holds.
        source.offered.value = 0

    async def send_all(self, items: Sequence[int]) -> None:
        """Sends ``items`` without a pause of Python's making."""
        for item in items:
            await self.send(item)


class StreamMonitor:
    """Hands every transfer that a ``stream_observer`` sees to ``callback``.

    Attributes
    ----------
    n_seen : int
    """

    def __init__(self, observer: Any, callback: Callable[[int], None]):
        self._observer = observer
        self._callback = callback
        self.n_seen = 0
        self._task = cocotb.start_soon(self._watch())

    async def _watch(self) -> None:
        observer = self._observer
        while True:
            await ValueChange(observer.seen)
            self.n_seen += 1
            self._callback(observer.item.value.to_unsigned())

    def stop(self) -> None:
        """Ends the watch; raises if the stream broke its rules."""
        self._task.cancel()
        if self._observer.broken.value != 0:
            raise AssertionError(
                f"{self._observer._path}: an item that waits must stay; it changed or vanished"
            )


class Scoreboard:
    """Expected items in order, channel by channel; a monitor's callback takes them off.

    A channel is whatever keeps its order: the ``channel_of`` an item.
    """

    def __init__(self, name: str, channel_of: Callable[[int], object], show: Callable[[int], str]):
        self._name, self._channel_of, self._show = name, channel_of, show
        self._expected: dict[object, deque[int]] = {}
        self._done = Event()
        self.n_left = 0
        self._done.set()

    def expect(self, items: Iterable[int]) -> None:
        """Adds items that have to come."""
        for item in items:
            self._expected.setdefault(self._channel_of(item), deque()).append(item)
            self.n_left += 1
        if self.n_left:
            self._done.clear()

    def see(self, item: int) -> None:
        """An item has come; it must be the next of its channel."""
        channel = self._channel_of(item)
        queue = self._expected.get(channel)
        if not queue:
            raise AssertionError(
                f"{self._name}: nothing more must come from {channel}, got {self._show(item)}"
            )
        wanted = queue.popleft()
        if item != wanted:
            raise AssertionError(
                f"{self._name}, from {channel}: must get {self._show(wanted)}, got "
                f"{self._show(item)}"
            )
        self.n_left -= 1
        if not self.n_left:
            self._done.set()

    async def empty(self, limit: int) -> None:
        """Waits until all has come, ``limit`` cycles at most."""
        if not self.n_left:
            return
        try:
            await with_timeout(self._done.wait(), limit * PERIOD_NS, "ns")
        except TimeoutError as error:
            left = {str(channel): len(queue) for channel, queue in self._expected.items() if queue}
            raise AssertionError(
                f"{self._name}: all must have come within {limit} cycles; missing: {left}"
            ) from error
