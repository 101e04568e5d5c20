# SPDX-License-Identifier: Apache-2.0
"""Weight sums of single time steps, on batches: what 16-bit integration works on."""

from collections.abc import Iterator, Mapping

import numpy as np

from ..arithmetic.fixed import Int64Array
from ..arithmetic.step_integration import HIGHEST, LOWEST, update
from ..spec.params import STEP_WIDTH
from .convolution import Convolution, FloatArray, potential_bounds
from .network import Layer, Network, Population


def step_bounds(layer: Layer, network: Network) -> tuple[Int64Array, Int64Array]:
    """Smallest and largest ``I[t]`` per output channel that any spikes can produce.

    In a signed source's first time step weights count negative.
    """
    low = np.zeros(layer.shape[0], np.int64)
    high = np.zeros(layer.shape[0], np.int64)
    for connection in layer.connections:
        source = network.population(connection.source)
        least, most = potential_bounds(connection, _plane(source))
        low += np.minimum(least, -most) if source.is_signed else least
        high += np.maximum(most, -least) if source.is_signed else most
    return low, high


def _plane(source: Population) -> Population:
    """One bit plane of a population, as a population."""
    return Population(source.name, source.shape, 1, False)


class StepSums:
    """``I[t]`` of a layer (eq. 14) from source activations, time step by time step.

    Raises ``ValueError`` where the sources' trains differ in length, and on the way, unless
    ``checks`` is false, where a sum does not fit its 16 bits.
    """

    def __init__(self, layer: Layer, network: Network, *, checks: bool = True):
        self.layer = layer
        self.sources = [network.population(c.source) for c in layer.connections]
        lengths = {source.bits for source in self.sources}
        if len(lengths) != 1:
            raise ValueError(
                f"{layer.name}: integration per time step needs sources of one length, got "
                + ", ".join(f"{s.name} of {s.bits}" for s in self.sources)
                + "; quantize them to the same bits"
            )
        (self.n_steps,) = lengths
        ones = np.ones(layer.shape[0])
        self._convolutions = [
            Convolution(connection, _plane(source), ones)
            for connection, source in zip(layer.connections, self.sources, strict=True)
        ]
        low, high = step_bounds(layer, network)
        self._must_check = checks and bool((low < LOWEST).any() or (high > HIGHEST).any())

    def __call__(self, values: Mapping[str, FloatArray]) -> Iterator[FloatArray]:
        """Yields (N, H, W, C) of whole numbers for t = 0 .. T-1; each valid until the next.

        values : floats (N, H, W, C) by population name. ``ValueError`` where a sum does not fit.
        """
        names = dict.fromkeys(c.source for c in self.layer.connections)
        integers = {name: values[name].astype(np.int16) for name in names}
        for t in range(self.n_steps):
            total: FloatArray | None = None
            for connection, source, convolve in zip(
                self.layer.connections, self.sources, self._convolutions, strict=True
            ):
                plane = (integers[connection.source] >> (self.n_steps - 1 - t)) & 1
                part = convolve(plane.astype(np.float32))
                if source.is_signed and t == 0:
                    part = np.negative(part, out=part)
                if total is None:
                    total = part
                else:
                    total += part
            assert total is not None
            if self._must_check:
                self._check(total, t)
            yield total

    def potentials(self, values: Mapping[str, FloatArray]) -> FloatArray:
        """``V[T-1]`` (N, H, W, C) after :func:`step_integration.update` of every step."""
        assert self.layer.integration is not None
        v = None
        for t, i in enumerate(self(values)):
            v = update(v, i, t, self.n_steps, self.layer.integration)
        assert v is not None
        return v.astype(np.float64)

    def _check(self, total: FloatArray, t: int) -> None:
        rows = total.reshape(-1, total.shape[-1])
        low, high = rows.min(axis=0), rows.max(axis=0)
        bad = np.flatnonzero((low < LOWEST) | (high > HIGHEST))
        if bad.size:
            c = int(bad[0])
            raise ValueError(
                f"{self.layer.name}: the weight sum of a time step must fit in {STEP_WIDTH} signed "
                f"bits, channel {c} reached {int(low[c])}..{int(high[c])} at t = {t}; use smaller "
                "weights or exact integration"
            )
