# SPDX-License-Identifier: Apache-2.0
"""The quantized network: integers of every layer, and the real value that one unit stands for."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stemcore.golden.network.network import INPUT, OUTPUT
from stemcore.golden.network.results import ONE_OUTPUT, Results, check_results
from stemcore.golden.network.tail import TailStep
from stemcore.golden.network.taps import Taps
from stemcore.golden.spec.integers import limits
from stemcore.golden.spec.windows import window_shape

from ..errors import QuantizeError
from ..frontend.ops.operator import FloatArray, Pair, Shape
from ..frontend.ops.pooling import MaxPool, UnevenMaxPool
from ..records import load_record, save_record

EXACT, GENERAL, PAPER = PROFILES = ("exact", "general", "paper")
KIND = "quantized network"
IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class QuantizedBranch:
    """Integer weights of one connection, to be shifted left by ``shift``.

    ``rows``, ``columns`` and ``channels`` as of
    :class:`stemcore.compiler.frontend.ops.layer.Branch`.
    """

    source: str
    weight: NDArray[np.int8]
    stride: Pair
    padding: Pair
    groups: int
    shift: int
    rows: Taps | None = None
    columns: Taps | None = None
    channels: Pair | None = None

    @property
    def taps(self) -> tuple[Taps, Taps] | None:
        """Both, where there are any."""
        if self.rows is None or self.columns is None:
            return None
        return self.rows, self.columns

    def output_shape(self, source: Shape) -> Shape:
        """Shape of the sums over a source of shape (C, H, W)."""
        if self.taps is not None:
            rows, columns = self.taps
            return len(self.weight), rows.n_outputs, columns.n_outputs
        kernel = self.weight.shape[2:]
        return (
            len(self.weight),
            *window_shape(source[1:], (kernel[0], kernel[1]), self.stride, self.padding),
        )


@dataclass(frozen=True, eq=False)
class QuantizedLayer:
    """One population.

    ``z = sum (weight << shift) x``, one unit worth ``acc_scale[c]``;
    ``q = clamp(round_half_even((multiplier z + (bias << 8 bias_shift)) / 2**rescale_shift))``, one
    unit worth ``scale``; then ``table[q mod 2**bits]``, where there is one, and max pooling.
    ``top`` is the upper clamp; ``bias_format`` tells reports what the bias was rounded to, and
    ``function`` what the table computes besides. Where it computes something, ``q`` before the
    table is an index (:mod:`stemcore.compiler.quantization.quantize_function`).
    """

    name: str
    shape: Shape  # before pooling
    branches: tuple[QuantizedBranch, ...]
    bias: IntArray
    multiplier: IntArray
    rescale_shift: IntArray
    bias_shift: int
    bits: int
    is_signed: bool
    top: int
    pool: MaxPool | UnevenMaxPool | None
    acc_scale: FloatArray
    scale: float
    bias_format: str = ""
    table: IntArray | None = None
    function: str = ""

    @property
    def limits(self) -> tuple[int, int]:
        """Smallest and largest value, both included."""
        return limits(self.bits, self.is_signed)[0], self.top


@dataclass(frozen=True, eq=False)
class QuantizedNetwork:
    """Layers in order; the last one is the output, unless ``results`` name others or several.

    ``input_scale`` is the real value of one unit of the input, once the factors of its channels
    (:class:`stemcore.compiler.input_map.InputMap`) are in the weights that read it. ``tail``: what
    the host computes of the output's real values. ``outputs``: what the (first) output's
    values were taken for when its scale was chosen
    (:mod:`stemcore.compiler.quantization.outputs`).
    """

    name: str
    profile: str
    input_shape: Shape
    input_bits: int
    input_scale: float
    layers: tuple[QuantizedLayer, ...]
    input_signed: bool = True
    tail: tuple[TailStep, ...] = ()
    outputs: str = ""
    results: Results = ONE_OUTPUT

    @property
    def kinds(self) -> list[tuple[str, str]]:
        """Name of every output, and what its values were taken for."""
        return [(o.name, o.kind) for o in self.results.outputs] or [(OUTPUT, self.outputs)]

    @property
    def output_layers(self) -> tuple[str, ...]:
        """Layers whose values are outputs, each once."""
        return self.results.sources or (self.layers[-1].name,)

    @property
    def input_limits(self) -> tuple[int, int]:
        """Smallest and largest value of the input."""
        return limits(self.input_bits, self.input_signed)

    def scales(self) -> dict[str, float]:
        """Real value of one unit of every population, the input's under ``input``."""
        return {"input": self.input_scale, **{layer.name: layer.scale for layer in self.layers}}


def save_quantized(network: QuantizedNetwork, path: Path | str) -> None:
    """Write the network as one archive without pickled objects; same network, same bytes."""
    save_record(path, KIND, network)


def load_quantized(path: Path | str) -> QuantizedNetwork:
    """Inverse of :func:`save_quantized`; ``FormatError`` where the file is something else."""
    network: QuantizedNetwork = load_record(path, KIND, QuantizedNetwork, check_quantized)
    return network


def check_quantized(network: QuantizedNetwork) -> None:
    """Raises :class:`QuantizeError` unless every layer's arrays fit its shape and its sources."""
    shapes: dict[str, Shape] = {INPUT: network.input_shape}
    for layer in network.layers:
        channels = layer.shape[0]
        for key in ("bias", "multiplier", "rescale_shift", "acc_scale"):
            shape = getattr(layer, key).shape
            if shape != (channels,):
                raise QuantizeError(layer.name, f"{key} must have shape ({channels},), has {shape}")
        if layer.table is not None and layer.table.shape != (1 << layer.bits,):
            raise QuantizeError(
                layer.name,
                f"the table of {layer.bits} bits must have {1 << layer.bits} entries, has "
                f"{layer.table.size}",
            )
        if layer.name in shapes:
            raise QuantizeError(layer.name, "layers must have different names")
        for branch in layer.branches:
            if branch.source not in shapes:
                raise QuantizeError(layer.name, f"{branch.source!r} must come before it")
            if branch.output_shape(shapes[branch.source]) != layer.shape:
                raise QuantizeError(
                    layer.name, f"the branch from {branch.source} must give shape {layer.shape}"
                )
        pool = layer.pool
        shapes[layer.name] = layer.shape if pool is None else pool.output_shape([layer.shape])
    check_results(network.results, {layer.name: layer for layer in network.layers})
