# SPDX-License-Identifier: Apache-2.0
"""Potentials of a layer on batches: sums of token periods, and what the neuron model makes of them.

Arrays are channels-last floats that hold whole numbers.
"""

from collections.abc import Iterator, Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..arithmetic.fixed import Int64Array
from ..arithmetic.potentials import Potentials, update
from ..spec.integers import signed_limits
from ..spec.neuron_model import TokenPeriod
from ..spec.neurons import model_of
from .convolution import (
    FLOAT32_BOUND,
    Convolution,
    FloatArray,
    connection_bounds,
    potential_bounds,
)
from .network import Connection, Layer, Network, Population

Values = Mapping[str, FloatArray]  # (N, H, W, C) by population name, whole numbers


class PotentialSource(Protocol):
    """How a layer's last potentials come about.

    ``low``, ``high``: what they can be.
    """

    low: int
    high: int

    def __call__(self, values: Values) -> FloatArray:
        """Potentials (N, H, W, C) of source activations; valid until the thread's next."""
        ...


def final_bounds(layer: Layer, network: Network) -> tuple[int, int]:
    """Smallest and largest potential of the layer at the end of a sample."""
    limits = model_of(layer.neuron).potential_limits
    if limits is not None:
        return limits
    low, high = zip(
        *(potential_bounds(c, network.population(c.source)) for c in layer.connections), strict=True
    )
    return int(np.sum(low, axis=0).min()), int(np.sum(high, axis=0).max())


def potentials_of(layer: Layer, network: Network, unit: FloatArray) -> PotentialSource:
    """What computes the layer's potentials, in units of ``1 / unit`` by channel.

    Models whose potential is the layer's sum need no time steps. Others take a ``unit`` of one.
    """
    if model_of(layer.neuron).is_exact:
        return ExactSums(layer, network, unit)
    assert (unit == 1).all(), "a scale is folded into exact sums alone"
    return PeriodSums(layer, network)


class ExactSums:
    """``z = sum over connections of (w << h) * x``, times ``unit``."""

    def __init__(self, layer: Layer, network: Network, unit: FloatArray):
        self.low, self.high = final_bounds(layer, network)
        largest = max(-self.low, self.high)
        self._dtype = np.dtype(np.float32 if largest < FLOAT32_BOUND else np.float64)
        self._connections = layer.connections
        self._convolutions = [
            Convolution(c, network.population(c.source), unit) for c in layer.connections
        ]

    def __call__(self, values: Values) -> FloatArray:
        """Sums (N, H, W, C)."""
        z: FloatArray | None = None
        for connection, convolve in zip(self._connections, self._convolutions, strict=True):
            part = convolve(values[connection.source])
            if z is None:
                # May be changed in place from here on: it is scratch of the convolution.
                z = part.astype(self._dtype, copy=False)
            else:
                z += part
        assert z is not None
        return z


def period_bounds(layer: Layer, network: Network) -> tuple[Int64Array, Int64Array]:
    """Smallest and largest sum of a token period, by output channel, that spikes can produce."""
    low = np.zeros(layer.shape[0], np.int64)
    high = np.zeros(layer.shape[0], np.int64)
    for connection in layer.connections:
        source = network.population(connection.source)
        bounds = [
            connection_bounds(connection, *limits) for limits in _period_limits(layer, source)
        ]
        low += np.min([least for least, _ in bounds], axis=0)
        high += np.max([most for _, most in bounds], axis=0)
    return low, high


def _period_limits(layer: Layer, source: Population) -> list[tuple[int, int]]:
    """For each kind of period: least and most that a source neuron counts in it."""
    is_sample = model_of(layer.neuron).token_period is TokenPeriod.SAMPLE
    return [source.limits] if is_sample else source.code.step_limits


class PeriodSums:
    """A layer's sums token period by token period, and their updates.

    Raises ``ValueError`` where the periods are time steps and the sources' trains differ in length;
    and on the way, unless ``checks`` is false, where a sum does not fit the model's accumulators.
    """

    def __init__(self, layer: Layer, network: Network, *, checks: bool = True):
        self.layer = layer
        self.low, self.high = final_bounds(layer, network)
        self._model = model_of(layer.neuron)
        self.sources = [network.population(c.source) for c in layer.connections]
        lengths = {self._model.tokens_per_sample(source.bits) for source in self.sources}
        if len(lengths) != 1:
            raise ValueError(
                f"{layer.name}: integration per time step needs sources of one length, got "
                + ", ".join(f"{s.name} of {s.bits}" for s in self.sources)
                + "; quantize them to the same bits"
            )
        (self.n_periods,) = lengths
        ones = np.ones(layer.shape[0])
        self._convolutions = [
            Convolution(connection, self._received(source), ones)
            for connection, source in zip(layer.connections, self.sources, strict=True)
        ]
        self._must_check = checks and self._model.acc_width is not None
        if self._must_check:
            low, high = period_bounds(layer, network)
            least, most = self._sum_limits()
            self._must_check = bool((low < least).any() or (high > most).any())

    def __call__(self, values: Values) -> FloatArray:
        """Potentials (N, H, W, C) after the last period."""
        v: Potentials | None = None
        for t, sums in enumerate(self.periods(values)):
            v = update(self.layer.neuron, v, sums, t, self.n_periods)
        assert v is not None
        return v.astype(np.float64)

    def periods(self, values: Values) -> Iterator[FloatArray]:
        """Yields sums (N, H, W, C), whole numbers, period by period; each valid until the next.

        ``ValueError`` where a sum does not fit.
        """
        names = dict.fromkeys(c.source for c in self.layer.connections)
        integers = {name: values[name].astype(np.int16) for name in names}
        for t in range(self.n_periods):
            total: FloatArray | None = None
            for connection, source, convolve in zip(
                self.layer.connections, self.sources, self._convolutions, strict=True
            ):
                part = self._part(connection, source, convolve, integers, t)
                if total is None:
                    total = part
                else:
                    total += part
            assert total is not None
            if self._must_check:
                self._check(total, t)
            yield total

    def _received(self, source: Population) -> Population:
        """What reaches a synapse in one period, as a population."""
        if self._model.token_period is TokenPeriod.SAMPLE:
            return source
        return Population(source.name, source.shape, 1, False)

    def _part(
        self,
        connection: Connection,
        source: Population,
        convolve: Convolution,
        integers: Mapping[str, NDArray[np.integer]],
        t: int,
    ) -> FloatArray:
        """One connection's sums of period ``t``."""
        x = integers[connection.source]
        if self._model.token_period is TokenPeriod.SAMPLE:
            return convolve(x.astype(np.float32))
        part = convolve(source.code.spike(x, t).astype(np.float32))
        return np.negative(part, out=part) if source.code.sign(t) < 0 else part

    def _sum_limits(self) -> tuple[int, int]:
        assert self._model.acc_width is not None
        return signed_limits(self._model.acc_width)

    def _check(self, total: FloatArray, t: int) -> None:
        rows = total.reshape(-1, total.shape[-1])
        low, high = rows.min(axis=0), rows.max(axis=0)
        least, most = self._sum_limits()
        bad = np.flatnonzero((low < least) | (high > most))
        if bad.size:
            c = int(bad[0])
            raise ValueError(
                f"{self.layer.name}: the weight sum of a {self._model.token_period.value} must fit "
                f"in {self._model.acc_width} signed bits, channel {c} reached "
                f"{int(low[c])}..{int(high[c])} at t = {t}; use smaller weights or exact "
                "integration"
            )
