# SPDX-License-Identifier: Apache-2.0
"""Functions of one value in models that are quantized already.

Such a model rounds the sum of a layer to integers q of the scale s, makes them real, applies the
function f and rounds again: ``r = clamp(round(f(q s) / s'))``. As r depends on q alone, it is an
activation table: the layer's requantization gives q, and the entry of q is r. Halves are rounded to
even and f is evaluated in float32, as the model does.

Index and entry of a table have the same bits and the same sign. Where q is signed and no r is
below zero, or the other way round, the index is ``q + 2**(bits-1)`` or ``q - 2**(bits-1)``; the
bias makes it so, and the rounding stays what it was, as the difference is even.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch

from stemcore.golden.arithmetic.activation_tables import identity
from stemcore.golden.spec.integers import limits

from ..errors import QuantizeError
from ..frontend.graph import Node
from ..frontend.ops.fake_quantize import REQUANTIZE, FakeQuantize
from ..frontend.ops.layer import Layer
from .formats import Source
from .given import given_layer
from .quantize_function import Function, describe
from .quantized import IntArray, QuantizedLayer


@dataclass(frozen=True)
class _Code:
    """Of index and entries: bits, sign, and the index of the integer 0."""

    bits: int
    is_signed: bool
    zero: int


def given_function(
    node: Node,
    sources: Mapping[str, Source],
    profile: str,
    acc_width: int,
    real: FakeQuantize | None,
) -> QuantizedLayer:
    """A layer that ends in functions, with the integers and scales that its model has.

    Parameters and errors as of :func:`stemcore.compiler.quantization.given.given_layer`. Also
    raises ``QuantizeError`` where functions are applied to real values.
    """
    layer = node.op
    assert isinstance(layer, Layer)
    index, functions = _index(node.name, layer, sources)
    output = layer.rounding or real
    assert output is not None, f"{node.name}: its values are real, and no output"
    integers = np.arange(index.low, index.high + 1, dtype=np.int64)
    entries = _entries(functions, integers, index.scale, output)
    code = _code(node.name, functions, integers, entries, max(index.bits, output.bits))
    low, high = limits(code.bits, code.is_signed)
    bias = layer.bias + code.zero * index.scale
    inner = replace(layer, bias=bias, function=(), rounding=FakeQuantize(index.scale, low, high))
    made = given_layer(replace(node, op=inner), sources, profile, acc_width, real)
    return replace(
        made,
        scale=output.scale,
        table=_table(code, integers, entries),
        function=describe(functions),
    )


def _index(
    name: str, layer: Layer, sources: Mapping[str, Source]
) -> tuple[FakeQuantize, tuple[Function, ...]]:
    """The integers that functions are applied to, and the functions."""
    first, *others = layer.function
    if isinstance(first, FakeQuantize):
        return first, tuple(others)
    branch = layer.branches[0]
    weight = np.unique(branch.weight)
    is_copy = len(layer.branches) == 1 and branch.weight.shape[1:] == (1, 1, 1)
    if not is_copy or len(weight) != 1 or weight[0] <= 0 or layer.bias.any():
        raise QuantizeError(
            name,
            f"{describe(layer.function)} must be applied to integers, of which an activation "
            "table has an entry each; the sum in front of it is not quantized",
            "quantize it as well, as StemQuantizer of stemcore.pt2e does, or compile the float "
            "module",
        )
    source = sources[branch.source]
    return FakeQuantize(source.scale * float(weight[0]), *source.limits), layer.function


def _entries(
    functions: tuple[Function, ...], integers: IntArray, scale: float, output: FakeQuantize
) -> IntArray:
    """What the model makes of each integer."""
    x = torch.from_numpy(integers.astype(np.float32)) * scale
    with torch.no_grad():
        for function in functions:
            x = function.run([x])
        rounded = (x / output.scale).round().clamp(output.low, output.high)
    entries: IntArray = rounded.numpy().astype(np.int64)
    return entries


def _code(
    name: str, functions: tuple[Function, ...], integers: IntArray, entries: IntArray, bits: int
) -> _Code:
    """The code in which every integer has an index with its own entry."""
    for code in _codes(int(integers[0]), bits, is_signed=bool((entries < 0).any())):
        low, high = limits(code.bits, code.is_signed)
        index = np.clip(integers + code.zero, low, high).tolist()
        by_index = dict(zip(index, entries.tolist(), strict=True))
        if [by_index[k] for k in index] == entries.tolist():
            return code
    raise QuantizeError(
        name,
        f"{describe(functions)} gives integers {entries.min()}..{entries.max()} for "
        f"{integers[0]}..{integers[-1]}, which must have the same sign: an activation table has no "
        "code for all of them",
        REQUANTIZE,
    )


def _codes(lowest: int, bits: int, *, is_signed: bool) -> Iterator[_Code]:
    half = 1 << (bits - 1)
    if is_signed or lowest >= 0:
        yield _Code(bits, is_signed, 0)
    yield _Code(bits, is_signed, -half if is_signed else half)


def _table(code: _Code, integers: IntArray, entries: IntArray) -> IntArray:
    """Entries by the low bits of the index; sums beyond all integers have that of the nearest."""
    k = identity(code.bits, code.is_signed)
    nearest = np.clip(k - code.zero - integers[0], 0, len(integers) - 1)
    table: IntArray = entries[nearest]
    return table
