# SPDX-License-Identifier: Apache-2.0
"""Products with constants: a factor and an offset for every channel, as batch norm has them."""

import numpy as np

from ..fx import Call, captures, refuse
from .batch_norm import BatchNorm
from .operator import FloatArray, Operator
from .product import Product


def scaled(
    call: Call, factor: "float | FloatArray", offset: "float | FloatArray" = 0.0
) -> Operator:
    """``factor * x + offset`` for the only operand of a call; numbers, or arrays (C,)."""
    channels = call.sources[0][0]
    return BatchNorm(
        np.broadcast_to(np.asarray(factor, np.float64), channels).copy(),
        np.broadcast_to(np.asarray(offset, np.float64), channels).copy(),
    )


def per_channel(call: Call, constant: object) -> "FloatArray | Operator":
    """A constant argument as an array (C,); a refusal where it differs within a channel."""
    channels = call.sources[0][0]
    if isinstance(constant, (int, float)):
        return np.full(channels, float(constant))
    array = call.context.array(constant)
    if array is None:
        return refuse(
            call,
            "must have one operand that is computed and one constant, or two that are computed",
            "compute the other operand from the input, or make it a parameter",
        )
    rank = len(call.fx_node.meta["val"].shape)
    aligned = array.reshape((1,) * (rank - array.ndim) + array.shape)
    within = tuple(axis for axis in range(rank) if axis != 1)
    if aligned.size and (np.ptp(aligned, axis=within) == 0).all():
        value = aligned.min(axis=within)
        if len(value) in (1, channels):
            return np.broadcast_to(value, channels).copy()
    return refuse(
        call,
        f"has a constant of shape {array.shape}, which differs between positions of a channel",
        "use one value for each channel: neurons of a channel share their weights",
    )


def per_position(call: Call, constant: object) -> FloatArray | None:
    """A constant argument as an array (C, H, W); None where it is none, or differs by image."""
    array = call.context.array(constant)
    sizes = tuple(call.fx_node.meta["val"].shape)
    if array is None or array.ndim > len(sizes):
        return None
    aligned = array.reshape((1,) * (len(sizes) - array.ndim) + array.shape)
    if aligned.shape[0] != 1:
        return None
    return np.broadcast_to(aligned[0], sizes[1:]).reshape(call.shape).copy()


@captures("mul.Tensor", "mul.Scalar")
def _mul(call: Call) -> Operator:
    first, second = call.get(0, "self"), call.get(1, "other")
    if len(call.sources) != 1 or first is second:
        refusal = refuse(
            call,
            "multiplies two computed tensors; a synapse multiplies by a constant weight",
            "replace the gating by a sum, or by a convolution",
        )
        shapes = set(call.sources)
        return Product(refusal) if shapes == {call.shape} else refusal
    factor = per_channel(call, second if call.computes(first) else first)
    return factor if isinstance(factor, Operator) else scaled(call, factor)


@captures("div.Tensor", "div.Scalar")
def _div(call: Call) -> Operator:
    if not call.computes(call.get(0, "self")) or len(call.sources) != 1:
        return refuse(
            call,
            "must divide a computed tensor by a constant",
            "normalize with fixed statistics, as batch norm does",
        )
    divisor = per_channel(call, call.get(1, "other"))
    if isinstance(divisor, Operator):
        return divisor
    with np.errstate(divide="ignore"):  # the check reports what is not finite
        return scaled(call, 1.0 / divisor)


@captures("neg.default")
def _neg(call: Call) -> Operator:
    return scaled(call, -1.0)
