# SPDX-License-Identifier: Apache-2.0
"""Proof that no membrane potential and no product overflows, from the weights alone."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stemcore.golden.network.convolution import connection_bounds, connection_partials
from stemcore.golden.network.network import INPUT, Layer, Network
from stemcore.golden.spec.integers import signed_bits, signed_limits
from stemcore.golden.spec.params import ChipParams
from stemcore.golden.spec.widths import BIAS_WIDTH, PRODUCT_WIDTH

from ..errors import RangeError
from .neurons import LOWERINGS

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class LayerRange:
    """What one layer's potentials can be.

    Attributes
    ----------
    low, high : int
        Exact bounds of the final sum over all source values.
    partial_low, partial_high : int
        Bounds of every sum on the way, whatever the order of the spikes. Wider than the final ones
        where a source is signed: its first time step subtracts before the others add.
    bits : int
        Signed bits that the final sum needs.
    is_proved : bool
        Whether ``low..high`` fits the accumulator.
    is_flag_free : bool
        Whether the partial sums fit too: the overflow flag then never rises.
    seen : (int, int) or None
        Smallest and largest sum seen in calibration, where they were given.
    """

    name: str
    low: int
    high: int
    partial_low: int
    partial_high: int
    bits: int
    is_proved: bool
    is_flag_free: bool
    seen: tuple[int, int] | None = None


@dataclass(frozen=True)
class RangeReport:
    """Ranges of all layers for an accumulator of ``acc_width`` bits."""

    acc_width: int
    layers: tuple[LayerRange, ...]

    @property
    def is_proved(self) -> bool:
        """Whether every layer is proved; else the hardware's overflow flag has to guard it."""
        return all(layer.is_proved for layer in self.layers)

    def layer(self, name: str) -> LayerRange:
        """The range of the layer called ``name``; ``KeyError`` if there is none."""
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise KeyError(name)


def prove_ranges(
    network: Network, acc_width: int, seen: Mapping[str, tuple[int, int]] | None = None
) -> RangeReport:
    """Bounds of every layer's potentials, exact per channel.

    Parameters
    ----------
    acc_width : int
        Bits of an accumulator. The arithmetic wraps, so the final sum alone has to fit.
    seen : mapping from layer name to (smallest, largest), optional
        Potentials in calibration (``QuantizedModel.accumulator_ranges``). A layer whose bound does
        not fit is then accepted as not proved, if what was seen fits.

    Raises
    ------
    RangeError
        Where neither the bound nor what was seen fits, or where bias or product do not.
    """
    if acc_width < 2:
        raise RangeError("acc_width", f"must be at least 2 bits, got {acc_width}")
    limits = {INPUT: network.input.limits}
    ranges = []
    for layer in network.layers:
        ranges.append(_layer_range(layer, network, limits, acc_width, (seen or {}).get(layer.name)))
        limits[layer.name] = _value_limits(layer)
    return RangeReport(acc_width, tuple(ranges))


def potentials_fit(network: Network, params: ChipParams) -> bool:
    """Whether no spikes at all, in any order, can take an accumulator out of its bits.

    Activation tables are not taken into account.
    """
    return LOWERINGS[params.integration].is_proved(network, params)


def _value_limits(layer: Layer) -> tuple[int, int]:
    """Limits of what a layer fires; a table may narrow them."""
    low, high = layer.population.limits
    if layer.table is None:
        return low, high
    # Entries are indexed by the low bits of q; a signed layer never uses the most negative one.
    used = layer.table[np.arange(low, high + 1) % (1 << layer.bits)]
    return int(used.min()), int(used.max())


def _layer_range(
    layer: Layer,
    network: Network,
    limits: Mapping[str, tuple[int, int]],
    acc_width: int,
    seen: tuple[int, int] | None,
) -> LayerRange:
    channels = layer.shape[0]
    low, high = np.zeros(channels, np.int64), np.zeros(channels, np.int64)
    partial_low, partial_high = low.copy(), high.copy()
    for connection in layer.connections:
        source = network.population(connection.source)
        x_low, x_high = limits[connection.source]
        least, most = connection_bounds(connection, x_low, x_high)
        low, high = low + least, high + most
        least, most = connection_partials(connection, source, x_high)
        partial_low, partial_high = partial_low + least, partial_high + most
    _check_product(layer, low, high, acc_width)
    fits = signed_bits(int(low.min()), int(high.max()))
    flag_bits = signed_bits(int(partial_low.min()), int(partial_high.max()))
    is_proved = fits <= acc_width
    if not is_proved and (seen is None or signed_bits(*seen) > acc_width):
        worst = int(np.argmax(np.maximum(-low, high)))
        what = f", calibration reached {seen[0]}..{seen[1]}" if seen is not None else ""
        raise RangeError(
            layer.name,
            f"potentials must fit in {acc_width} signed bits; channel {worst} can reach "
            f"{low[worst]}..{high[worst]}, which needs {fits}{what}",
            "choose a preset with a wider accumulator, fewer bits of weights or activations, or "
            "pass the ranges seen in calibration",
        )
    return LayerRange(
        layer.name,
        int(low.min()),
        int(high.max()),
        int(partial_low.min()),
        int(partial_high.max()),
        fits,
        is_proved,
        flag_bits <= acc_width,
        seen,
    )


def _check_product(layer: Layer, low: IntArray, high: IntArray, acc_width: int) -> None:
    """The bias fits its field, and multiplier * potential + bias its register."""
    bias_bits = signed_bits(int(layer.bias.min()), int(layer.bias.max()))
    if bias_bits > BIAS_WIDTH:
        raise RangeError(
            layer.name,
            f"the bias must fit in {BIAS_WIDTH} signed bits, needs {bias_bits}",
            "quantize again, or raise bias_shift",
        )
    least, most = signed_limits(acc_width)
    shifted = layer.bias << (8 * layer.bias_shift)
    product_low = layer.multiplier * np.maximum(low, least) + shifted
    product_high = layer.multiplier * np.minimum(high, most) + shifted
    bits = signed_bits(int(product_low.min()), int(product_high.max()))
    if bits > PRODUCT_WIDTH:
        raise RangeError(
            layer.name,
            f"multiplier * potential + bias must fit in {PRODUCT_WIDTH} signed bits, needs {bits}",
            "lower bias_shift, or remove channels with a bias far above their weights",
        )
