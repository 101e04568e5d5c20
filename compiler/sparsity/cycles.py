# SPDX-License-Identifier: Apache-2.0
"""Choice of activation tables for few cycles: which layers an image waits for.

Images follow each other as fast as the busiest core allows. A spike into any other layer costs no
cycle, whatever its synaptic operations, and once tables have made the busiest layer faster, another
one is the busiest. What a step of the path saves is therefore measured on the times of all layers:
their power mean of exponent :data:`EXPONENT`, near the largest, yet moved by those that would be
the largest next.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stemcore.golden.network.network import Network

from .search import Candidate, hull_steps, is_copy
from .tables import NONE

EXPONENT = 8
_LEAST_GAIN = 1e-9  # of the time: less is rounding


@dataclass(frozen=True)
class LayerTime:
    """The busiest core of a layer without tables, in cycles per image.

    ``shares`` are the shares of its operations that spikes of each population cause, 1 in all.
    """

    accumulate: float
    update_pass: float
    fire: float
    shares: Mapping[str, float]

    def with_spikes(self, left: Mapping[str, float], own: float) -> float:
        """Its cycles where ``left[population]`` of the spikes remain, ``own`` of those it fires."""
        received = sum(share * left.get(name, 1.0) for name, share in self.shares.items())
        return max(self.accumulate * received, self.fire * own) + self.update_pass


Times = Mapping[str, LayerTime]


def cycles_path(
    candidates: Sequence[Candidate], network: Network, times: Times
) -> list[dict[str, str]]:
    """Choices of tables by population, as :func:`.search.greedy_path`; each step is the one that
    adds least to the divergence for the cycles that it saves. Ends where no step saves any.
    """
    by_population: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        by_population.setdefault(candidate.layer, []).append(candidate)
    without = {
        name: next(c.sops for c in found if c.name == NONE) for name, found in by_population.items()
    }
    steps = {name: hull_steps(found) for name, found in by_population.items()}
    left: dict[str, float] = {}
    path: list[dict[str, str]] = [{}]
    while True:
        now = _mean_time(network, times, left)
        best: tuple[float, str, Candidate] | None = None
        for name, remaining in steps.items():
            if not remaining:
                continue
            before, after = remaining[0]
            tried = left | {name: after.sops / without[name]}
            gain = now - _mean_time(network, times, tried)
            slope = (after.loss - before.loss) / gain if gain > _LEAST_GAIN * now else None
            if slope is not None and (best is None or slope < best[0]):
                best = slope, name, after
        if best is None:
            return path
        _, name, after = best
        steps[name] = steps[name][1:]
        left[name] = after.sops / without[name]
        path.append(path[-1] | {name: after.name})


def _mean_time(network: Network, times: Times, left: Mapping[str, float]) -> float:
    """Power mean of the layers' times, in cycles."""
    remaining = dict(left)
    for layer in network.layers:  # in order: a skip buffer fires what its source does
        if layer.name not in remaining and is_copy(layer):
            remaining[layer.name] = remaining.get(layer.connections[0].source, 1.0)
    cycles = [times[n].with_spikes(remaining, remaining.get(n, 1.0)) for n in times]
    longest = max(cycles)
    mean: float = (sum((c / longest) ** EXPONENT for c in cycles) / len(cycles)) ** (1 / EXPONENT)
    return longest * mean


def plain_times(times: Times) -> dict[str, Any]:
    """Times as JSON; :func:`times_of` is the inverse."""
    return {
        name: [t.accumulate, t.update_pass, t.fire, dict(t.shares)] for name, t in times.items()
    }


def times_of(plain: Mapping[str, Any]) -> dict[str, LayerTime]:
    """The inverse of :func:`plain_times`."""
    return {name: LayerTime(*values) for name, values in plain.items()}
