# SPDX-License-Identifier: Apache-2.0
"""The spikes waiting in a core, from its ingress to the end of their loop nests."""

from bisect import bisect_right

from stemcore.golden.spec.timing import SPIKE_CYCLES


class SpikeBacklog:
    """Spikes of one token period as a steady flow: bursts are worked off in the order of arrival.

    Parameters
    ----------
    start : cycle from which on loop nests can be carried out
    high, low : numbers of waiting spikes at which sources are asked to hold, and to go on

    Attributes
    ----------
    done : list of float
        Cycles at which the loop nests of each burst end; ``start`` before the first.
    over_at : float
        Cycle at which the last loop nest would end if no spike had to wait for another.
    held_at : float or None
        Cycle at which ``high`` was reached; None before, and after a held source goes on.
    """

    __slots__ = ("count", "done", "held_at", "high", "low", "over_at")

    def __init__(self, start: float, high: float, low: float) -> None:
        self.count, self.done = [0.0], [start]  # ``count``: spikes that had arrived
        self.high, self.low = high, low
        self.held_at: float | None = None
        self.over_at = start

    def take(self, first: float, last: float, spikes: float, operations: float) -> None:
        """Adds a burst that reaches the ingress in cycles ``first`` to ``last``.

        ``spikes`` are more than 0; ``operations`` are those of all their loop nests together.
        """
        count, done = self.count, self.done
        count.append(count[-1] + spikes)
        done.append(max(done[-1], first + SPIKE_CYCLES) + operations)
        # Spikes of other sources fill the pauses in a burst, but none is done before it arrives.
        over = max(first, last - (last - first) / spikes) + SPIKE_CYCLES + operations / spikes
        if over > self.over_at:
            self.over_at = over
        if self.held_at is not None or done[-1] <= last:
            return
        if count[-1] - count[max(0, bisect_right(done, last) - 1)] <= self.high:
            return  # not even if all of the current burst still waits
        after = self.level(last)
        if after > self.high:
            before = self.level(first) - spikes
            share = (self.high - before) / (after - before) if after > before else 0.0
            self.held_at = first + (last - first) * max(0.0, share)

    def level(self, now: float) -> float:
        """Spikes whose loop nests have not ended by cycle ``now``, of all bursts so far."""
        later = bisect_right(self.done, now)
        if later == len(self.done):
            return 0.0
        if later == 0:
            return self.count[-1]
        start, stop = self.done[later - 1], self.done[later]
        share = (now - start) / (stop - start)
        done = self.count[later - 1] + share * (self.count[later] - self.count[later - 1])
        return self.count[-1] - done

    def falls_at(self) -> float:
        """Cycle at which no more than ``low`` spikes are left, if no more arrive."""
        done = self.count[-1] - self.low
        later = bisect_right(self.count, done)
        if later == 0:
            return self.done[0]
        share = (done - self.count[later - 1]) / (self.count[later] - self.count[later - 1])
        return self.done[later - 1] + share * (self.done[later] - self.done[later - 1])
