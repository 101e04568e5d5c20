# SPDX-License-Identifier: Apache-2.0
"""What has to come out, in order; the first item that differs ends the test."""

from collections import deque
from collections.abc import Callable, Hashable, Iterable

from cocotb.triggers import Event

from .clock import ClockDomain
from .signals import Item, show


class Scoreboard:
    """Expected items in order, channel by channel; a monitor's callback takes them off.

    ``StreamSink(stream, board.see)`` compares what comes with what :meth:`expect` was told. A
    channel is whatever keeps its order among others that do not: the ``channel_of`` an item.

    Parameters
    ----------
    name : str
        For messages.
    channel_of : function of an item, optional
        By default all items are of one channel.
    show : function of an item, optional
        An item as text; by default integers in hexadecimal.

    Attributes
    ----------
    n_left : int
        Items that have yet to come.
    """

    def __init__(
        self,
        name: str,
        *,
        channel_of: Callable[[Item], Hashable] | None = None,
        show: Callable[[Item], str] = show,
    ):
        self._name, self._channel_of, self._show = name, channel_of, show
        self._expected: dict[Hashable, deque[Item]] = {}
        self._n_seen: dict[Hashable, int] = {}
        self._done = Event()
        self.n_left = 0
        self._done.set()

    def _channel(self, item: Item) -> Hashable:
        return None if self._channel_of is None else self._channel_of(item)

    def expect(self, items: Iterable[Item]) -> None:
        """Adds items that have to come."""
        for item in items:
            self._expected.setdefault(self._channel(item), deque()).append(item)
            self.n_left += 1
        if self.n_left:
            self._done.clear()

    def model(self, function: Callable[[Item], Iterable[Item]]) -> Callable[[Item], None]:
        """A callback for a monitor at the input: what comes out is ``function`` of what goes in.

        ``StreamMonitor(stream_in, board.model(golden))``; ``function`` may keep a state, and gives
        no item, one or several for each.
        """
        return lambda item: self.expect(function(item))

    def see(self, item: Item) -> None:
        """An item has come; ``AssertionError`` unless it is the next of its channel.

        The message has the index of the item in its channel, what was wanted, and what came.
        """
        channel = self._channel(item)
        index = self._n_seen.get(channel, 0)
        where = f"{self._name}, " + ("" if channel is None else f"from {channel}, ")
        queue = self._expected.get(channel)
        if not queue:
            raise AssertionError(
                f"{where}item {index}: wanted nothing more, got {self._show(item)}"
            )
        wanted = queue.popleft()
        if item != wanted:
            raise AssertionError(
                f"{where}item {index}: wanted {self._show(wanted)}, got {self._show(item)}"
            )
        self._n_seen[channel] = index + 1
        self.n_left -= 1
        if not self.n_left:
            self._done.set()

    async def empty(self, domain: ClockDomain, cycles: int) -> None:
        """Waits until all has come, ``cycles`` at most; ``AssertionError`` with what is missing."""
        if not self.n_left:
            return
        try:
            await domain.within(self._done.wait(), cycles)
        except TimeoutError as error:
            missing = "; ".join(
                self._missing(channel, queue) for channel, queue in self._expected.items() if queue
            )
            raise AssertionError(
                f"{self._name}: all must have come within {cycles} cycles; missing {missing}"
            ) from error

    def _missing(self, channel: Hashable, queue: deque[Item]) -> str:
        where = "" if channel is None else f"from {channel}: "
        first = self._n_seen.get(channel, 0)
        return f"{where}{len(queue)} from item {first} on, {self._show(queue[0])}"
