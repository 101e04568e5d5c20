# SPDX-License-Identifier: Apache-2.0
"""Integers of one layer, once the scale of its output is chosen."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from stemcore.golden.arithmetic.fixed import MAX_SHIFT
from stemcore.golden.network.taps import partial_bounds
from stemcore.golden.spec.integers import limits, signed_limits
from stemcore.golden.spec.widths import MULTIPLIER_WIDTH, WEIGHT_WIDTH

from ..errors import QuantizeError
from ..frontend.graph import Node
from ..frontend.ops.layer import AVERAGE, IDENTITY, LEARNED, Branch, Layer
from ..frontend.ops.operator import FloatArray
from .bias import MAX_BIAS, round_bias
from .formats import LayerFormat, Source
from .quantize_function import Index, OutputCode, describe, function_table, index_layer
from .quantized import IntArray, QuantizedBranch, QuantizedLayer
from .scales import (
    MAX_TOTAL_SHIFT,
    Alignment,
    Operand,
    align,
    average_weight,
    power_above,
    weight_scales,
)

MAX_WEIGHT = limits(WEIGHT_WIDTH, True)[1]


def quantize_layer(
    node: Node,
    sources: Mapping[str, Source],
    scale: float,
    is_signed: bool,
    layer_format: LayerFormat,
) -> QuantizedLayer:
    """The layer in integers.

    ``scale`` is the wanted scale of the output; a larger one is taken where weights of the allowed
    range and the largest connection shift cannot express it.
    """
    assert isinstance(node.op, Layer)
    layer = node.op
    if layer.branches[0].kind == AVERAGE:
        scale, alignment = _average(layer, sources, scale, layer_format)
    else:
        scale, alignment = _align_within(node.name, layer, sources, scale, layer_format)
    weights = _weights(layer, sources, alignment, layer_format)
    return finish_layer(node, weights, scale, alignment, is_signed, layer_format)


def finish_layer(
    node: Node,
    weights: Sequence[FloatArray],
    scale: float,
    alignment: Alignment,
    is_signed: bool,
    layer_format: LayerFormat,
) -> QuantizedLayer:
    """The layer with integer weights for every branch, once all scales are settled."""
    layer = node.op
    assert isinstance(layer, Layer)
    top, acc_scale = limits(layer_format.bits, is_signed)[1], alignment.acc_scale
    branches = tuple(
        QuantizedBranch(
            b.source,
            w.astype(np.int8),
            b.stride,
            b.padding,
            b.groups,
            h,
            b.rows,
            b.columns,
            b.channels,
        )
        for b, w, h in zip(layer.branches, weights, alignment.shifts, strict=True)
    )
    multiplier, rescale_shift = _rescale(acc_scale / scale, layer_format.is_exact)
    bias = round_bias(
        node.name,
        layer.bias / scale,
        rescale_shift,
        layer_format.bias,
        is_exact=layer_format.is_exact,
    )
    if layer.clamp is not None and layer.clamp.high is not None:
        top = max(1, min(top, round(layer.clamp.high / scale)))
    return QuantizedLayer(
        node.name,
        layer.shape,
        branches,
        bias.integers,
        multiplier,
        rescale_shift,
        bias.shift,
        layer_format.bits,
        is_signed,
        top,
        layer.pool,
        acc_scale,
        scale,
        bias.said,
    )


def quantize_function(
    node: Node,
    sources: Mapping[str, Source],
    index: Index,
    code: OutputCode,
    layer_format: LayerFormat,
) -> QuantizedLayer:
    """The layer in integers, where it ends in a function: its requantization gives ``index``, with
    a larger step where that has to be, and its table the function."""
    assert isinstance(node.op, Layer)
    while True:
        indexed = replace(node, op=index_layer(node.op, index))
        layer = quantize_layer(indexed, sources, index.step, code.is_signed, layer_format)
        if layer.scale == index.step:
            break
        index = index.with_step(layer.scale, code)
    table = function_table(node.op.function, index, code)
    return replace(layer, scale=code.scale, table=table, function=describe(node.op.function))


def _weights(
    layer: Layer, sources: Mapping[str, Source], alignment: Alignment, layer_format: LayerFormat
) -> list[FloatArray]:
    """Integer weights of every branch."""
    integers = []
    for branch, h in zip(layer.branches, alignment.shifts, strict=True):
        scale = alignment.acc_scale * 2.0**h / sources[branch.source].scale
        top = limits(layer_format.weight_bits, True)[1] if branch.kind == LEARNED else MAX_WEIGHT
        rounded = branch.weight / scale.reshape(-1, 1, 1, 1)
        np.rint(rounded, out=rounded)
        integers.append(np.clip(rounded, -top, top, out=rounded))
    return integers


def _average(
    layer: Layer, sources: Mapping[str, Source], scale: float, layer_format: LayerFormat
) -> tuple[float, Alignment]:
    """Output scale, and accumulator scale for the best constant weights of an average pooling."""
    (branch,) = layer.branches
    source, share = sources[branch.source], float(branch.weight.flat[0])
    channels = layer.shape[0]
    # Steps smaller than those of the sum carry no information.
    scale = max(
        scale, source.scale * (float(power_above(share)) if layer_format.is_exact else share)
    )
    if not layer_format.is_exact:
        return scale, Alignment(np.full(channels, source.scale * share), (0,))
    ratio_shift = round(math.log2(source.scale / scale))
    n_taps = branch.n_terms
    room = signed_limits(layer_format.acc_width)[1] // ((1 << source.bits) * n_taps)
    weight_limit = max(1, min(MAX_WEIGHT, room))
    _, s = average_weight(ratio_shift, round(1 / share), n_taps, source.limits, weight_limit)
    return scale, Alignment(np.full(channels, scale / 2.0**s), (0,))


def _align_within(
    name: str, layer: Layer, sources: Mapping[str, Source], scale: float, layer_format: LayerFormat
) -> tuple[float, Alignment]:
    """Output scale and alignment of everything but averages.

    Channels whose potentials could exceed the accumulator get coarser weights, if the operands
    permit it; otherwise the range check will find them.
    """
    operands = _operands(layer, sources, layer_format)
    # The bias has 32 bits on the accumulator's grid, or up to 40 on that of the product.
    bias_step = np.abs(layer.bias) / (MAX_BIAS if layer_format.is_exact else 2.0**22)
    smallest = 2.0 ** -(MAX_SHIFT if layer_format.is_exact else MAX_SHIFT - 16)
    least = np.maximum(scale * smallest, bias_step)
    most = scale if layer_format.is_exact else math.inf
    alignment = align(operands, least, most, layer_format.is_exact)
    if alignment is None:
        most = math.inf
        alignment = align(operands, least, most, layer_format.is_exact)
    if alignment is None:
        operands = _without_negligible(operands, layer, sources, scale)
        alignment = align(operands, least, most, layer_format.is_exact)
    if alignment is None:
        scales = ", ".join(f"{b.source} {sources[b.source].scale:g}" for b in layer.branches)
        raise QuantizeError(
            name,
            "its connections must meet in one accumulator, the scales of its sources "
            f"({scales}) are too far apart",
            "give the sources more similar ranges"
            + (", or use the general profile" if layer_format.is_exact else ""),
        )
    while (excess := _excess(layer, sources, alignment, layer_format)).max() > 1:
        step = power_above(excess) if layer_format.is_exact else excess * (1 + 2.0**-10)
        coarser = np.maximum(least, np.where(excess > 1, alignment.acc_scale * step, 0.0))
        least = np.maximum(least, coarser)
        retry = align(operands, least, most, layer_format.is_exact)
        if retry is None or (retry.acc_scale <= alignment.acc_scale).all():
            break
        alignment = retry
    if layer_format.is_exact:
        scale = max(scale, float(alignment.acc_scale.max()))
    return scale, alignment


def _excess(
    layer: Layer, sources: Mapping[str, Source], alignment: Alignment, layer_format: LayerFormat
) -> FloatArray:
    """Largest partial sum of each channel (C,), as a multiple of what the accumulator holds."""
    low, high = np.zeros(layer.shape[0]), np.zeros(layer.shape[0])
    weights = _weights(layer, sources, alignment, layer_format)
    for branch, weight, h in zip(layer.branches, weights, alignment.shifts, strict=True):
        source = sources[branch.source]
        least, most = source.limits
        smallest, largest = partial_bounds(
            weight * 2.0**h, branch.rows, branch.columns, source.bits, least < 0, most
        )
        low += smallest
        high += largest
    return np.maximum(-low, high) / signed_limits(layer_format.acc_width)[1]


def _operands(
    layer: Layer, sources: Mapping[str, Source], layer_format: LayerFormat
) -> list[Operand]:
    operands: list[Operand] = []
    for branch in layer.branches:
        source = sources[branch.source]
        max_shift = MAX_TOTAL_SHIFT - (source.bits - 1)
        scales = _branch_scales(branch, operands, layer_format)
        fan_in = branch.weight.shape[1] * branch.n_terms
        operands.append(Operand(source.scale, max_shift, scales, fan_in))
    return operands


def _without_negligible(
    operands: Sequence[Operand], layer: Layer, sources: Mapping[str, Source], scale: float
) -> list[Operand]:
    """The operands, free of the demands of identities that never reach half a unit of the sum.

    They ask nothing of the accumulator, in which their weights round to whatever they are there,
    mostly to zero.
    """
    kept = []
    for operand, branch in zip(operands, layer.branches, strict=True):
        largest = operand.source_scale * max(map(abs, sources[branch.source].limits))
        is_negligible = branch.kind == IDENTITY and largest < scale / 2
        free = replace(operand, max_shift=0, weight_scale=np.zeros(layer.shape[0]))
        kept.append(free if is_negligible else operand)
    return kept


def _branch_scales(
    branch: Branch, before: list[Operand], layer_format: LayerFormat
) -> FloatArray | None:
    """Finest useful weight scales; None for an identity, whose weight is chosen with the scale."""
    if branch.kind == IDENTITY:
        if layer_format.is_exact or all(operand.weight_scale is not None for operand in before):
            return None
        return np.full(len(branch.weight), 1.0 / MAX_WEIGHT)
    top = limits(layer_format.weight_bits, True)[1]
    return weight_scales(
        branch.weight,
        top,
        per_channel=layer_format.per_channel,
        is_exact=layer_format.is_exact,
        is_widest=layer_format.is_widest,
    )


def _rescale(ratio: FloatArray, is_exact: bool) -> tuple[IntArray, IntArray]:
    """Multiplier m and right shift s with ``m / 2**s`` next to ``ratio``."""
    exponent = np.frexp(ratio)[1]  # 2**(e-1) <= ratio < 2**e
    if is_exact:
        return np.ones(len(ratio), np.int64), (1 - exponent).astype(np.int64)
    shift = MULTIPLIER_WIDTH - exponent
    multiplier = np.round(np.ldexp(ratio, shift)).astype(np.int64)
    is_full = multiplier == 1 << MULTIPLIER_WIDTH
    multiplier[is_full] >>= 1
    return multiplier, (shift - is_full).astype(np.int64)
