# SPDX-License-Identifier: Apache-2.0
"""Integers of one layer, once the scale of its output is chosen."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from golden.params import BIAS_WIDTH, MULTIPLIER_WIDTH

from .errors import QuantizeError
from .graph import AVERAGE, IDENTITY, Branch, FloatArray, Layer, Node
from .quantized import EXACT, IntArray, QuantizedBranch, QuantizedLayer
from .scales import (
    MAX_RESCALE_SHIFT,
    MAX_TOTAL_SHIFT,
    Operand,
    align,
    average_weight,
    power_above,
    weight_scales,
)

MAX_BIAS = (1 << (BIAS_WIDTH - 1)) - 1


@dataclass(frozen=True)
class Source:
    """What a connection reads: real value of one unit, limits, bits."""

    scale: float
    limits: tuple[int, int]
    bits: int


@dataclass(frozen=True)
class LayerForm:
    """What the user may choose for a layer."""

    profile: str
    bits: int
    weight_bits: int
    per_channel: bool

    @property
    def is_exact(self) -> bool:
        """Whether all scales are powers of two."""
        return self.profile == EXACT


def is_unsigned(layer: Layer, sources: Mapping[str, Source]) -> bool:
    """Whether no value below zero can leave the layer."""
    positive = all(
        sources[b.source].limits[0] >= 0 and (b.weight >= 0).all() for b in layer.branches
    )
    return layer.clamp is not None or (positive and bool((layer.bias >= 0).all()))


def top_of(bits: int, is_signed: bool) -> int:
    """Largest value of a population."""
    return (1 << (bits - is_signed)) - 1


def fixed_scale(layer: Layer, sources: Mapping[str, Source], top: int) -> float | None:
    """The output scale of a layer that only passes values on, where they fit; None elsewhere."""
    if len(layer.branches) == 1 and layer.branches[0].kind == IDENTITY:
        source = sources[layer.branches[0].source]
        if source.limits[1] <= top:
            return source.scale
    return None


def quantize_layer(
    node: Node, sources: Mapping[str, Source], scale: float, is_signed: bool, form: LayerForm
) -> QuantizedLayer:
    """The layer in integers.

    ``scale`` is the wish for the output's; it is raised where weights of the allowed range and the
    largest connection shift cannot express it.
    """
    assert isinstance(node.op, Layer)
    layer, top = node.op, top_of(form.bits, is_signed)
    if layer.branches[0].kind == AVERAGE:
        scale, acc_scale, weights = _average(layer, sources, scale, form)
        shifts: tuple[int, ...] = (0,)
    else:
        scale, acc_scale, shifts = _weighted(node.name, layer, sources, scale, form)
        weights = [
            _round_weights(b.weight, acc_scale * 2.0**h / sources[b.source].scale, form)
            for b, h in zip(layer.branches, shifts, strict=True)
        ]
    branches = tuple(
        QuantizedBranch(b.source, w.astype(np.int8), b.stride, b.padding, b.groups, h)
        for b, w, h in zip(layer.branches, weights, shifts, strict=True)
    )
    multiplier, rescale_shift = _rescale(acc_scale / scale, form.is_exact)
    bias, bias_shift = _round_bias(node.name, layer.bias / scale, rescale_shift, form.is_exact)
    if layer.clamp is not None and layer.clamp.high is not None:
        top = max(1, min(top, round(layer.clamp.high / scale)))
    return QuantizedLayer(
        node.name, layer.shape, branches, bias, multiplier, rescale_shift, bias_shift, form.bits,
        is_signed, top, layer.pool, acc_scale, scale,
    )  # fmt: skip


def _round_weights(weight: FloatArray, scale: FloatArray, form: LayerForm) -> FloatArray:
    top = top_of(form.weight_bits, True)
    return np.clip(np.round(weight / scale.reshape(-1, 1, 1, 1)), -top, top)


def _average(
    layer: Layer, sources: Mapping[str, Source], scale: float, form: LayerForm
) -> tuple[float, FloatArray, list[FloatArray]]:
    """Output scale, accumulator scale and constant weights of an average pooling."""
    (branch,) = layer.branches
    source, share = sources[branch.source], float(branch.weight.flat[0])
    # Steps smaller than those of the sum say nothing.
    scale = max(scale, source.scale * (float(power_above(share)) if form.is_exact else share))
    if not form.is_exact:
        acc_scale = np.full(layer.shape[0], source.scale * share)
        return scale, acc_scale, [np.ones_like(branch.weight)]
    ratio_shift = round(math.log2(source.scale / scale))
    n_taps = branch.weight.shape[2] * branch.weight.shape[3]
    limit = top_of(form.weight_bits, True)
    w, s = average_weight(ratio_shift, round(1 / share), n_taps, source.limits, limit)
    acc_scale = np.full(layer.shape[0], scale / 2.0**s)
    return scale, acc_scale, [np.full_like(branch.weight, w)]


def _weighted(
    name: str, layer: Layer, sources: Mapping[str, Source], scale: float, form: LayerForm
) -> tuple[float, FloatArray, tuple[int, ...]]:
    """Output scale, accumulator scale and connection shifts of everything but averages."""
    top = top_of(form.weight_bits, True)
    operands: list[Operand] = []
    for branch in layer.branches:
        source = sources[branch.source]
        operands.append(
            Operand(
                source.scale,
                MAX_TOTAL_SHIFT - (source.bits - 1),
                _branch_scales(branch, operands, top, form),
                int(np.prod(branch.weight.shape[1:])),
            )
        )
    # The bias has 32 bits on the accumulator's grid, or up to 40 on that of the product.
    bias_step = np.abs(layer.bias) / (MAX_BIAS if form.is_exact else 2.0**22)
    for most in (scale if form.is_exact else math.inf, math.inf):
        smallest = 2.0 ** -(MAX_RESCALE_SHIFT if form.is_exact else MAX_RESCALE_SHIFT - 16)
        least = np.maximum(scale * smallest, bias_step)
        alignment = align(operands, least, most, top, form.is_exact)
        if alignment is not None:
            if form.is_exact:
                scale = max(scale, float(alignment.acc_scale.max()))
            return scale, alignment.acc_scale, alignment.shifts
    raise QuantizeError(
        name,
        "its connections must meet in one accumulator, the scales of its sources "
        f"({', '.join(f'{b.source} {sources[b.source].scale:g}' for b in layer.branches)}) are too "
        "far apart",
        "give the sources more similar ranges, or use the general profile",
    )


def _branch_scales(
    branch: Branch, before: list[Operand], top: int, form: LayerForm
) -> FloatArray | None:
    """Finest useful weight scales; None for an identity, whose weight is chosen with the scale."""
    if branch.kind == IDENTITY:
        if form.is_exact or all(operand.weight_scale is not None for operand in before):
            return None
        return np.full(len(branch.weight), 1.0 / top)
    return weight_scales(branch.weight, top, per_channel=form.per_channel, is_exact=form.is_exact)


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


def _round_bias(
    name: str, bias: FloatArray, rescale_shift: IntArray, is_exact: bool
) -> tuple[IntArray, int]:
    """Bias integers (from output units) and their left shift in bytes, the smallest that fits."""
    if (rescale_shift < 0).any() or (rescale_shift > MAX_RESCALE_SHIFT).any():
        worst = int(rescale_shift[np.argmax(np.abs(rescale_shift - MAX_RESCALE_SHIFT // 2))])
        raise QuantizeError(
            name,
            f"the shift after the accumulator must be 0 to {MAX_RESCALE_SHIFT}, is {worst}",
            "weights, bias and output have ranges that are too far apart; check the calibration "
            "images and the weights",
        )
    for bias_shift in range(1 if is_exact else 4):
        integers = np.round(np.ldexp(bias, rescale_shift - 8 * bias_shift))
        if np.abs(integers).max(initial=0) <= MAX_BIAS:
            return integers.astype(np.int64), bias_shift
    raise QuantizeError(
        name,
        f"the bias must fit in {BIAS_WIDTH} bits, needs {np.abs(integers).max():.3g}",
        "its channel has a bias far above its weights; remove the channel or train it again",
    )
