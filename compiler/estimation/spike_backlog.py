# SPDX-License-Identifier: Apache-2.0
"""Spikes that wait in a core, from its ingress to the end of their loop nests."""

from bisect import bisect_right

from stemcore.golden.spec.timing import SPIKE_CYCLES


class SpikeBacklog:
    """Spikes of one token period, as a fluid: bursts come, and are done in the order of coming.

    Parameters
    ----------
    start : cycle from which on loop nests are possible
    high, low : levels at which sources are asked to hold, and to go on

    Attributes
    ----------
    done : list of float
        When the work of all bursts so far is done, ``start`` before the first.
    over_at : float
        When the loop nest of the last spike is over that met none before it.
    held_at : float or None
        When the level came to ``high``, until whoever was held sets it to None.
    """

    __slots__ = ("count", "done", "held_at", "high", "low", "over_at")

    def __init__(self, start: float, high: float, low: float) -> None:
        self.count, self.done = [0.0], [start]  # ``count``: spikes that had come
        self.high, self.low = high, low
        self.held_at: float | None = None
        self.over_at = start

    def take(self, first: float, last: float, spikes: float, operations: float) -> None:
        """More than no spikes that reach the ingress in cycles ``first`` to ``last``, a burst."""
        count, done = self.count, self.done
        count.append(count[-1] + spikes)
        done.append(max(done[-1], first + SPIKE_CYCLES) + operations)
        # Other sources' spikes fill what a burst leaves free, but none is done before it comes.
        over = max(first, last - (last - first) / spikes) + SPIKE_CYCLES + operations / spikes
        if over > self.over_at:
            self.over_at = over
        if self.held_at is not None or done[-1] <= last:
            return
        if count[-1] - count[max(0, bisect_right(done, last) - 1)] <= self.high:
            return  # not even with all of the burst that is being done
        after = self.level(last)
        if after > self.high:
            before = self.level(first) - spikes
            share = (self.high - before) / (after - before) if after > before else 0.0
            self.held_at = first + (last - first) * max(0.0, share)

    def level(self, now: float) -> float:
        """Spikes that are not done by ``now``, of all that :meth:`take` was told of."""
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
        """When no more than ``low`` are left, if no more come."""
        done = self.count[-1] - self.low
        later = bisect_right(self.count, done)
        if later == 0:
            return self.done[0]
        share = (done - self.count[later - 1]) / (self.count[later] - self.count[later - 1])
        return self.done[later - 1] + share * (self.done[later] - self.done[later - 1])
