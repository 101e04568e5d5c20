# SPDX-License-Identifier: Apache-2.0
"""The golden engine: a lowered network on batches of images, layer by layer; spike counts."""

from collections.abc import Collection, Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arithmetic.fixed import Int64Array
from ..arithmetic.stem import count_spikes
from ..arithmetic.threads import for_each, n_processors
from .convolution import FloatArray
from .layers import PreparedLayer
from .network import INPUT, Connection, Network, Population

__all__ = ["Forward", "check_images", "count_spikes", "fan_out", "n_sops", "run_network"]

Values = dict[str, Int64Array]  # by population name, (N, C, H, W)

BATCH_FLOATS = 5 << 18  # windows of a layer that a thread lays out at a time: 5 MB stay cached


def check_images(images: ArrayLike, population: Population) -> NDArray[np.integer]:
    """``images`` as integers (N, C, H, W) within the population's limits, or ``ValueError``."""
    array = np.asarray(images)
    if array.dtype.kind not in "iu":
        raise ValueError(
            f"images: must be integers on the input's scale, got {array.dtype}; quantize them first"
        )
    if array.ndim != 4 or array.shape[1:] != population.shape:
        raise ValueError(
            f"images: must have shape (N, {', '.join(map(str, population.shape))}), "
            f"got {array.shape}; resize them"
        )
    low, high = population.limits
    if array.size and (array.min() < low or array.max() > high):
        raise ValueError(
            f"images: values must lie in {low}..{high} ({population.bits} bits, "
            f"{'signed' if population.is_signed else 'unsigned'}), "
            f"got {array.min()}..{array.max()}; clamp them to the input's limits"
        )
    return array


class Forward:
    """A network made ready to run; worth keeping when it runs more than once.

    Parameters
    ----------
    network : Network
    acc_width : int
        A potential beyond that many signed bits raises ``ValueError``; partial sums may be, since
        the accumulator wraps.
    batch : int, optional
        Images at a time in a thread; by default what keeps every layer's windows in a cache.
    """

    def __init__(self, network: Network, *, acc_width: int = 24, batch: int | None = None):
        self.network = network
        self.layers = [PreparedLayer(layer, network, acc_width) for layer in network.layers]
        self.batch = batch or max(1, BATCH_FLOATS // max(p.n_window_floats for p in self.layers))
        # After which layer nobody needs a population any more.
        self._last_use = {INPUT: -1}
        for index, layer in enumerate(network.layers):
            self._last_use[layer.name] = index
            for connection in layer.connections:
                self._last_use[connection.source] = index

    def run(self, images: ArrayLike, *, keep: Collection[str] | None = None) -> Values:
        """:func:`run_network` with this network."""
        return self._run(images, keep, keep_potentials=False)[0]

    def run_with_potentials(
        self, images: ArrayLike, *, keep: Collection[str] | None = None
    ) -> tuple[Values, Values]:
        """:meth:`run`, and the potentials of every layer, of its shape before pooling.

        Potentials are the sums z, or what the layer's neuron model has in their place.
        """
        return self._run(images, keep, keep_potentials=True)

    def _run(
        self, images: ArrayLike, keep: Collection[str] | None, *, keep_potentials: bool
    ) -> tuple[Values, Values]:
        array = check_images(images, self.network.input)
        names = [INPUT, *(layer.name for layer in self.network.layers)]
        if keep is not None and not set(keep) <= set(names):
            raise ValueError(f"keep: must name populations of {names}, got {sorted(keep)}")
        kept = {
            name: self._empty(name, len(array)) for name in names if keep is None or name in keep
        }
        potentials = {
            layer.name: np.empty((len(array), *layer.shape), np.int64)
            for layer in self.network.layers
            if keep_potentials
        }
        for_each(
            lambda part: self._run_batch(array[part], part, kept, potentials),
            self._parts(len(array)),
        )
        return kept, potentials

    def _parts(self, n: int) -> list[slice]:
        """At most ``batch`` images each and of one size, so that processors end together."""
        at_least = -(-n // self.batch)
        n_parts = min(n, -(-at_least // n_processors()) * n_processors())
        return [slice(n * k // n_parts, n * (k + 1) // n_parts) for k in range(n_parts)]

    def _empty(self, name: str, n: int) -> Int64Array:
        return np.empty((n, *self.network.population(name).shape), np.int64)

    def _run_batch(
        self,
        images: NDArray[np.integer],
        part: slice,
        kept: dict[str, Int64Array],
        potentials: dict[str, Int64Array],
    ) -> None:
        if INPUT in kept:
            kept[INPUT][part] = images
        values: dict[str, FloatArray] = {
            INPUT: np.ascontiguousarray(images.transpose(0, 2, 3, 1), dtype=np.float32)
        }
        for index, prepared in enumerate(self.layers):
            name = prepared.layer.name
            result = prepared.run(values, bool(potentials))
            values[name] = result.values
            if name in kept:
                kept[name][part] = result.values.transpose(0, 3, 1, 2)
            if result.potentials is not None:
                potentials[name][part] = result.potentials.transpose(0, 3, 1, 2)
            for old in [n for n in values if self._last_use[n] <= index]:
                del values[old]


def run_network(
    network: Network,
    images: ArrayLike,
    *,
    acc_width: int = 24,
    keep: Collection[str] | None = None,
) -> Values:
    """Activations of every population, exactly.

    Per layer ``z = sum over connections of (w << h) * x``, or the potential that its neuron model
    has in place of z; then :func:`stemcore.golden.arithmetic.fixed.requantize`, the activation
    table, the pooling. Potentials themselves: :meth:`Forward.run_with_potentials`.

    Parameters
    ----------
    images : integers (N, C, H, W)
        Within the limits of ``network.input``; ``ValueError`` otherwise.
    acc_width : int
        Bits that every final potential must fit in; ``ValueError`` otherwise.
    keep : names, optional
        Populations to return; all of them by default. Fewer are faster.

    Returns
    -------
    dict from ``INPUT`` and every layer's name to int64 (N, C, H, W), after table and pooling.
    """
    return Forward(network, acc_width=acc_width).run(images, keep=keep)


def fan_out(connection: Connection, source: Population) -> Int64Array:
    """Synapses (H, W) that a spike of any channel at a source position meets."""
    n_rows, n_columns = (
        np.array(connection.taps(axis, source.shape[1 + axis]).count, np.int64) for axis in (0, 1)
    )
    per_position = np.outer(n_rows, n_columns)
    per_spike: Int64Array = per_position * (connection.weight.shape[0] // connection.groups)
    return per_spike


def n_sops(network: Network, values: Mapping[str, Int64Array]) -> dict[str, Int64Array]:
    """Synaptic operations per layer and image: dict from layer name to int64 (N,).

    Pairs of a spike and a synapse: every set bit of a source value times the synapses that lead
    from it to neurons of the layer (before pooling). Zero padding has none; weights that happen to
    be zero count. ``values`` as from :func:`run_network`.
    """
    counts: dict[tuple[str, tuple[int, int]], Int64Array] = {}
    result = {}
    for layer in network.layers:
        total: Int64Array | int = 0
        for connection in layer.connections:
            source = network.population(connection.source)
            span = connection.span(source)
            key = connection.source, span
            if key not in counts:
                received = values[connection.source][:, slice(*span)]
                counts[key] = count_spikes(received, source.bits).sum(axis=1)
            total = total + np.tensordot(counts[key], fan_out(connection, source), axes=2)
        result[layer.name] = np.asarray(total, np.int64)
    return result
