# SPDX-License-Identifier: Apache-2.0
"""Averages in models that are quantized already: the mean that torch rounds, to the last integer.

Such a model divides a sum of integers once, and rounds to the nearest integer, halves to even:
``q = clamp(round(sum * 2**k / n))``, where ``2**k`` is the scale of the source over that of the
output. The hardware computes ``round((m w sum + b) / 2**s)``. All sums are whole, so both are the
same where every change of q lies between the right two sums; a bias gives the factor ``m w / 2**s``
twice the room. Three forms are tried, the cheapest first:

*  a weight w alone, as in all layers of the exact profile (m = 1);
*  a multiplier m of 16 bits, as in the general profile: no more cycles, nor memory;
*  two neurons for each value, where the mean can lie halfway between two integers, as with an even
   n. Halves to even do not come at equal distances, so one neuron cannot round all of them: one
   rounds halves down, the other up (they differ in the bias alone), and a layer behind them rounds
   the mean of the two, halves to even. That is the even one of both.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from stemcore.golden.arithmetic.fixed import MAX_SHIFT
from stemcore.golden.spec.integers import limits, signed_limits
from stemcore.golden.spec.widths import MULTIPLIER_WIDTH, WEIGHT_WIDTH

from ..frontend.graph import Node
from ..frontend.ops.fake_quantize import FakeQuantize
from ..frontend.ops.layer import AVERAGE, Branch, Layer
from ..frontend.ops.operator import FloatArray
from .formats import LayerFormat, Source
from .quantize_layer import finish_layer
from .quantized import GENERAL, IntArray, QuantizedLayer
from .scales import Alignment

MAX_WEIGHT = limits(WEIGHT_WIDTH, True)[1]
_HALVES = ("even", "down", "up")


@dataclass(frozen=True)
class Mean:
    """``round((multiplier * weight * sum + bias) / 2**shift)``.

    ``biases``: one, or those of the neuron that rounds halves down and of the one that rounds them
    up.
    """

    weight: int
    multiplier: int
    shift: int
    biases: tuple[int, ...] = (0,)


def is_average(layer: Layer, sources: Mapping[str, Source], real: FakeQuantize | None) -> bool:
    """Whether a layer only divides sums of integers by their number, from one scale that is a power
    of two to another.

    real : format of an output layer, where the model leaves its values real.
    """
    rounding = layer.rounding or real
    is_one = len(layer.branches) == 1 and layer.branches[0].kind == AVERAGE
    if not is_one or layer.bias.any() or layer.function or rounding is None:
        return False
    scales = sources[layer.branches[0].source].scale, rounding.scale
    return all(math.frexp(scale)[0] == 0.5 for scale in scales)


def given_average(
    node: Node, sources: Mapping[str, Source], rounding: FakeQuantize, layer_format: LayerFormat
) -> tuple[QuantizedLayer, ...]:
    """The layer in integers; before it, where halves need one, the layer ``NAME.stage1``.

    rounding : of the output; its scale, like that of the source, is a power of two.

    Averages over more values than the accumulator has room for differ from the mean here and there,
    by one: the agreement with the model's own graph
    (:func:`stemcore.compiler.quantization.quantize_given.agreement`) says where.
    """
    layer = node.op
    assert isinstance(layer, Layer)
    (branch,) = layer.branches
    source = sources[branch.source]
    room = signed_limits(layer_format.acc_width)[1] // ((1 << source.bits) * branch.n_terms)
    mean = find_mean(
        round(math.log2(source.scale / rounding.scale)),
        round(1 / float(branch.weight.flat[0])),
        (branch.n_terms * source.limits[0], branch.n_terms * source.limits[1]),
        (rounding.low, rounding.high),
        max(1, min(MAX_WEIGHT, room)),
    )
    n_neurons = len(mean.biases)
    bias = np.ldexp(np.tile(np.array(mean.biases, np.float64), layer.shape[0]), -mean.shift)
    averages = replace(
        layer,
        branches=(replace(branch, weight=np.repeat(branch.weight, n_neurons, axis=0)),),
        bias=bias * rounding.scale,
        shape=(len(bias), *layer.shape[1:]),
        pool=layer.pool if n_neurons == 1 else None,
    )
    first = replace(
        node,
        name=node.name if n_neurons == 1 else f"{node.name}.stage1",
        op=averages,
        shape=averages.output_shape(()),
    )
    acc_scale = np.full(len(bias), rounding.scale * math.ldexp(mean.multiplier, -mean.shift))
    made = _finish(
        first,
        np.full(averages.branches[0].weight.shape, float(mean.weight)),
        acc_scale,
        rounding,
        layer_format if mean.multiplier == 1 else replace(layer_format, profile=GENERAL),
    )
    if n_neurons == 1:
        return (made,)
    return made, _even_ones(node, first.name, rounding, layer_format)


def _even_ones(
    node: Node, halves: str, rounding: FakeQuantize, layer_format: LayerFormat
) -> QuantizedLayer:
    """The mean of each two neighbouring channels of the layer ``halves``, halves to even."""
    layer = node.op
    assert isinstance(layer, Layer)
    channels = layer.shape[0]
    weight = np.ones((channels, 2, 1, 1))
    layer = replace(layer, branches=(Branch(halves, weight, groups=channels),))
    last = replace(node, op=layer, inputs=(halves,))
    return _finish(last, weight, np.full(channels, rounding.scale / 2), rounding, layer_format)


def _finish(
    node: Node,
    weight: FloatArray,
    acc_scale: FloatArray,
    rounding: FakeQuantize,
    layer_format: LayerFormat,
) -> QuantizedLayer:
    alignment = Alignment(acc_scale, (0,))
    made = finish_layer(node, [weight], rounding.scale, alignment, rounding.is_signed, layer_format)
    return replace(made, top=min(made.top, rounding.high))


def find_mean(
    exponent: int,
    divisor: int,
    sums: tuple[int, int],
    output: tuple[int, int],
    max_weight: int,
) -> Mean:
    """Integers for ``clamp(round(sum * 2**exponent / divisor))``; the closest where none are equal.

    sums, output : smallest and largest, both included.
    max_weight : 1 to 127; the accumulator holds this multiple of every sum.
    """
    is_power = divisor & (divisor - 1) == 0
    if is_power and divisor.bit_length() - 1 >= exponent:
        return Mean(1, 1, divisor.bit_length() - 1 - exponent)
    factors = list(_factors(exponent, divisor, max_weight))
    even, down, up = (_first_sums(exponent, divisor, output, halves) for halves in _HALVES)
    for neurons in ((even,), (down, up)):
        for w, m, s in factors:
            biases = [_bias(first, sums, output, w * m, s) for first in neurons]
            if all(b is not None for b in biases):
                return Mean(w, m, s, tuple(b for b in biases if b is not None))
    ideal = Fraction(2) ** exponent / divisor
    return Mean(*min(factors, key=lambda one: abs(Fraction(one[0] * one[1], 1 << one[2]) - ideal)))


def _factors(exponent: int, divisor: int, max_weight: int) -> Iterator[tuple[int, int, int]]:
    """Weight w, multiplier m and shift s with ``m w / 2**s`` next to ``2**exponent / divisor``."""
    for s in range(MAX_SHIFT + 1):
        w = round(Fraction(2) ** (exponent + s) / divisor)
        if 1 <= w <= max_weight:
            yield w, 1, s
    for w in range(1, max_weight + 1):
        mantissa, power = math.frexp(math.ldexp(1 / (divisor * w), exponent))
        m, s = round(math.ldexp(mantissa, MULTIPLIER_WIDTH)), MULTIPLIER_WIDTH - power
        if m == 1 << MULTIPLIER_WIDTH:
            m, s = m >> 1, s - 1
        if 0 <= s <= MAX_SHIFT:
            yield w, m, s


def _first_sums(exponent: int, divisor: int, output: tuple[int, int], halves: str) -> IntArray:
    """The smallest sum of every output but the smallest; ``halves`` are rounded that way."""
    q = np.arange(output[0] + 1, output[1] + 1, dtype=np.int64)
    at_half = (2 * q - 1) * divisor << max(-(exponent + 1), 0)
    floor, rest = np.divmod(at_half, 1 << max(exponent + 1, 0))
    is_reached = {"even": q % 2 == 0, "down": q != q, "up": q == q}[halves]
    first: IntArray = np.where((rest == 0) & is_reached, floor, floor + 1)
    return first


def _bias(
    first: IntArray, sums: tuple[int, int], output: tuple[int, int], factor: int, shift: int
) -> int | None:
    """A bias b with which ``round((factor * sum + b) / 2**shift)`` reaches each output but the
    smallest with the sum ``first``, and not before; None where there is no such bias.

    No product comes to lie halfway between two outputs.
    """
    limit = 2 * np.arange(output[0] + 1, output[1] + 1, dtype=np.int64) - 1 << shift
    reached, missed = first <= sums[1], first > sums[0]
    # Twice the product of the sums on both sides, which the limit has to part.
    above = 2 * factor * np.maximum(first, sums[0])[reached]
    below = 2 * factor * np.minimum(first - 1, sums[1])[missed]
    least = int(((limit[reached] - above) // 2 + 1).max(initial=-(1 << 62)))
    most = int((-((below - limit[missed]) // 2) - 1).min(initial=1 << 62))
    if least > most:
        return None
    return 0 if least <= 0 <= most else (least + most) // 2
