# SPDX-License-Identifier: Apache-2.0
"""Choice of activation tables: what each candidate saves and costs, and in which order to use them.

Candidates are measured one at a time on images. A greedy path then leads from the network without
tables to the sparsest one: every step changes the table of the layer that saves the most synaptic
operations for what it adds to the divergence of the outputs. Divergence takes the place of accuracy
because it changes with every image, not only with those whose class changes: hundreds of images
rank candidates that thousands of right-or-wrong answers could not.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stemcore.golden.arithmetic.activation_tables import apply
from stemcore.golden.arithmetic.stem import count_spikes
from stemcore.golden.arithmetic.threads import for_each
from stemcore.golden.network.convolution import FloatArray
from stemcore.golden.network.forward import Forward, check_images, fan_out
from stemcore.golden.network.layers import PreparedLayer
from stemcore.golden.network.network import INPUT, Layer, Network

from ..errors import SparsifyError
from ..quantization.quantized import IntArray
from .tables import NONE, named_table

BUDGET = 0.5  # percentage points of accuracy
# What tables are to save: figures of a choice, and what people call them.
SOPS, CYCLES = "sops", "cycles"
COSTS = {SOPS: "SOPs", CYCLES: "cycles"}
HYBRID, RATE_DISTORTION = "hybrid", "rd"
SCHEMES: dict[str, tuple[str, ...]] = {
    HYBRID: (
        "rot1",
        "rot2",
        "rot3",
        "rot4",
        "drlo4",
        "drlo3",
        "drlo2",
        "rot1+drlo3",
        "rot1+drlo2",
        "rot2+drlo3",
        "rot2+drlo2",
        "rot3+drlo2",
    ),
    RATE_DISTORTION: tuple(f"rd{w}" for w in (2, 5, 10, 20, 40, 80, 160, 320, 640)),
}


@dataclass(frozen=True)
class Candidate:
    """One table for one population, measured alone.

    ``sops`` are the synaptic operations per image that this population's spikes cause (not counting
    changes in later layers), ``loss`` is the mean divergence of the outputs.
    """

    layer: str
    name: str
    sops: float
    loss: float


def scheme_tables(network: Network, scheme: str) -> dict[str, dict[str, IntArray]]:
    """Tables of a scheme by population and name, as far as they exist for the population's bits.

    None for layers whose values are returned; tables that change no value are left out.
    ``SparsifyError`` for an unknown scheme.
    """
    if scheme not in SCHEMES:
        raise SparsifyError("SCHEME", f"must be one of {', '.join(SCHEMES)}, got {scheme!r}")
    found: dict[str, dict[str, IntArray]] = {}
    tops = {
        layer.name: int(layer.table.max()) for layer in network.layers if layer.table is not None
    }
    # The bytes of a split sum have no table: each of them has to arrive unchanged.
    returned = _returned(network)
    hidden = [
        layer.population
        for layer in network.layers
        if layer.digits is None and layer.name not in returned
    ]
    for population in (network.input, *hidden):
        low, high = population.limits
        high = tops.get(population.name, high)  # a clamp's table
        index = np.arange(low, high + 1)
        entries = {}
        for name in SCHEMES[scheme]:
            try:
                table = named_table(name, population.bits, population.is_signed)
            except SparsifyError:
                continue
            if (apply(table, index) != index).any():
                entries[name] = np.clip(table, low, high)
        found[population.name] = entries
    return found


def _returned(network: Network) -> set[str]:
    """Layers whose values the network returns, those that only pass such values on among them."""
    layers = {layer.name: layer for layer in network.layers}
    found = set(network.output_layers)
    for name in network.results.sources:
        layer: Layer | None = layers[name]
        while layer is not None and is_copy(layer):
            found.add(layer.connections[0].source)
            layer = layers.get(layer.connections[0].source)
    return found


def is_copy(layer: Layer) -> bool:
    """Whether a layer fires what it reads, as a skip buffer does."""
    if len(layer.connections) != 1 or layer.pool is not None or layer.table is not None:
        return False
    (connection,) = layer.connections
    is_identity = connection.groups == layer.shape[0] and bool((connection.weight == 1).all())
    scales = (layer.multiplier == 1).all() and not layer.shift.any() and not layer.bias.any()
    return is_identity and connection.weight.shape[1:] == (1, 1, 1) and bool(scales)


class Measurement:
    """Measures the candidates of every population on images, batch by batch.

    Parameters
    ----------
    network : Network
        Without the tables that are to be chosen.
    tables : mapping
        Of :func:`scheme_tables`. Each must be non-decreasing, so that it commutes with max pooling.
    """

    def __init__(self, network: Network, tables: Mapping[str, Mapping[str, IntArray]]):
        self.network, self.tables = network, tables
        self.batch = Forward(network).batch
        self.layers = [PreparedLayer(layer, network, 32) for layer in network.layers]
        self.populations = {INPUT: network.input}
        self.populations |= {layer.name: layer.population for layer in network.layers}
        for name, entries in tables.items():
            low, high = self.populations[name].limits
            for table in entries.values():
                assert (np.diff(apply(table, np.arange(low, high + 1))) >= 0).all(), name
        self.fan_out = {
            name: np.zeros(p.shape[1:], np.int64) for name, p in self.populations.items()
        }
        for layer in network.layers:
            for connection in layer.connections:
                source = self.populations[connection.source]
                self.fan_out[connection.source] += fan_out(connection, source)

    def run(self, images: ArrayLike) -> list[Candidate]:
        """Every candidate, and for every population NONE with a ``loss`` of 0.

        images : integers (N, C, H, W) as for :func:`stemcore.golden.network.forward.run_network`.
        """
        array = check_images(images, self.network.input)
        starts = range(0, len(array), self.batch)
        measured: dict[
            int, tuple[dict[str, NDArray[np.float64]], dict[tuple[str, str], float]]
        ] = {}

        def measure(start: int) -> None:
            values = self._forward(array[start : start + self.batch])
            measured[start] = (
                {name: self._histogram(name, values[name]) for name in self.tables},
                {
                    (layer, name): self._loss(values, layer, table)
                    for layer, of in self.tables.items()
                    for name, table in of.items()
                },
            )

        for_each(measure, starts)
        histograms = {name: np.zeros(1 << self.populations[name].bits) for name in self.tables}
        losses = {(layer, name): 0.0 for layer, of in self.tables.items() for name in of}
        for start in starts:  # in order: floats add up to the same in every run
            for name, histogram in measured[start][0].items():
                histograms[name] += histogram
            for key, loss in measured[start][1].items():
                losses[key] += loss
        found = []
        for layer, of in self.tables.items():
            bits = self.populations[layer].bits
            index = np.arange(1 << bits)
            for name, table in {NONE: index, **of}.items():
                sops = float(histograms[layer] @ count_spikes(apply(table, index), bits))
                loss = losses.get((layer, name), 0.0)
                found.append(Candidate(layer, name, sops / len(array), loss / len(array)))
        return found

    def _forward(self, images: NDArray[Any]) -> dict[str, FloatArray]:
        values = {INPUT: np.ascontiguousarray(images.transpose(0, 2, 3, 1), dtype=np.float32)}
        for layer in self.layers:
            values[layer.layer.name] = layer.run(values, False).values
        return values

    def _histogram(self, name: str, values: FloatArray) -> NDArray[np.float64]:
        """Synapses reached from each activation, by its low bits."""
        size = 1 << self.populations[name].bits
        index = values.astype(np.int64) & (size - 1)
        weights = np.broadcast_to(self.fan_out[name][None, :, :, None], index.shape)
        return np.bincount(index.ravel(), weights.ravel(), size).astype(np.float64)

    def _loss(self, values: Mapping[str, FloatArray], changed: str, table: IntArray) -> float:
        """Sum of divergences over images; only layers that a change reaches are computed again."""
        new = dict(values)
        new[changed] = apply(table, values[changed].astype(np.int64)).astype(np.float32)
        reached = {changed}
        for layer in self.layers:
            if any(c.source in reached for c in layer.layer.connections):
                new[layer.layer.name] = layer.run(new, False).values
                reached.add(layer.layer.name)
        output = self.network.output.name
        return float(divergence(values[output], new[output], self.network.scales[output]).sum())


def divergence(expected: ArrayLike, got: ArrayLike, scale: float) -> NDArray[np.float64]:
    """Distance of outputs ``got`` from ``expected`` (N, C, H, W) per image: (N,), zero where equal.

    For class scores the Kullback-Leibler divergence of their softmax, for maps the mean squared
    difference. ``scale`` is the real value of one unit.
    """
    p, q = (np.asarray(x, np.float64) * scale for x in (expected, got))
    if p[0].size != max(p.shape[1:]):
        squares: NDArray[np.float64] = np.square(p - q).reshape(len(p), -1).mean(axis=1)
        return squares
    log_p, log_q = (_log_softmax(x.reshape(len(x), -1)) for x in (p, q))
    lost: NDArray[np.float64] = (np.exp(log_p) * (log_p - log_q)).sum(axis=1)
    return lost


def _log_softmax(x: NDArray[np.float64]) -> NDArray[np.float64]:
    x = x - x.max(axis=1, keepdims=True)
    logs: NDArray[np.float64] = x - np.log(np.exp(x).sum(axis=1, keepdims=True))
    return logs


def greedy_path(candidates: Sequence[Candidate]) -> list[dict[str, str]]:
    """Choices of tables by population, from none to the sparsest; each step changes one layer.

    A layer's useful candidates are the lower convex hull of loss over operations saved; the steps
    of all hulls are taken in the order of loss per operation. The path assumes that losses of
    single tables add up, so each choice has to be measured again as a whole.
    """
    by_layer: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        by_layer.setdefault(candidate.layer, []).append(candidate)
    steps = []
    for layer, found in by_layer.items():
        for before, after in hull_steps(found):
            slope = (after.loss - before.loss) / (before.sops - after.sops)
            steps.append((slope, layer, after.name))
    # Slopes rise along a hull, so a layer's steps stay in their order.
    steps.sort(key=lambda step: step[0])
    path: list[dict[str, str]] = [{}]
    for _, layer, name in steps:
        path.append({**path[-1], layer: name})
    return path


def hull_steps(candidates: Sequence[Candidate]) -> list[tuple[Candidate, Candidate]]:
    """Steps along the lower convex hull of one population's candidates, from no table on."""
    hull = [next(c for c in candidates if c.name == NONE)]
    while True:
        last = hull[-1]
        better = [c for c in candidates if c.sops < last.sops]
        if not better:
            return list(itertools.pairwise(hull))
        hull.append(
            min(better, key=lambda c: ((c.loss - last.loss) / (last.sops - c.sops), c.sops))
        )
