# SPDX-License-Identifier: Apache-2.0
"""STEM on arrays: spike trains, integration and firing.

The code itself, and every rule of it, is :mod:`stemcore.golden.spec.spike_code`.

Symbols of the paper (arXiv 2505.12221) as they are used here:

``T``     time steps of a spike train; equal to n, the bits of an activation
``s[t]``  spike at time step t = 0 .. T-1: bit T-1-t of the activation, most significant first
``c_t``   what a spike of step t weighs: ``2**(T-1-t)``; ``-2**(T-1)`` at t = 0 if signed (eq. 11)
``I[t]``  sum of the weights of the synapses that receive a spike at t (eq. 14)
``z``     membrane potential after T steps: ``sum_t c_t I[t]``, exactly the quantized layer's sum
``V``     what is left of the activation while the neuron fires (eqs. 20 and 21)
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..spec.spike_code import SpikeCode
from .fixed import Int64Array


def encode(values: ArrayLike, bits: int, is_signed: bool) -> NDArray[np.uint8]:
    """Spike trains of activations: ``s[t]`` is bit ``bits-1-t`` of the two's complement value.

    values : integers within ``-2**(bits-1) .. 2**(bits-1)-1`` or ``0 .. 2**bits-1``, any shape
    Returns uint8 (T, \\*shape) of zeros and ones. ``ValueError`` for a value that has no train.
    """
    x = np.asarray(values, np.int64)
    code = SpikeCode(bits, is_signed)
    low, high = code.reach
    if x.size and (x.min() < low or x.max() > high):
        raise ValueError(
            f"encode: values must lie in {low}..{high} for {bits} "
            f"{'signed' if is_signed else 'unsigned'} bits, got {x.min()}..{x.max()}"
        )
    return np.stack([code.spike(x, t) for t in range(bits)]).astype(np.uint8)


def decode(spikes: ArrayLike, is_signed: bool) -> Int64Array:
    """Activations of trains (T, ...): ``sum_t c_t s[t]`` (eq. 11). Inverse of :func:`encode`."""
    s = np.asarray(spikes, np.int64)
    code = SpikeCode(s.shape[0], is_signed)
    weights = np.array([code.weight(t) for t in range(code.bits)], np.int64)
    return np.tensordot(weights, s, axes=1)


def integrate(weights: ArrayLike, spikes: ArrayLike, is_signed: bool) -> Int64Array:
    """Membrane potentials of a fully connected layer, time step by time step.

    ``z = sum_t c_t I[t]`` with ``I[t] = sum_j w_j s_j[t]`` (eq. 14): the exact integration. Equals
    ``weights @ decode(spikes)``, whatever the order of the spikes. No overflow: int64.

    weights : integers (n_out, n_in)
    spikes : (T, n_in)
    """
    w = np.asarray(weights, np.int64)
    s = np.asarray(spikes, np.int64)
    code = SpikeCode(s.shape[0], is_signed)
    z = np.zeros(w.shape[0], np.int64)
    for t in range(code.bits):
        step_sum = w @ s[t]
        z += code.weight(t) * step_sum
    return z


def fire(values: ArrayLike, bits: int, is_signed: bool) -> NDArray[np.uint8]:
    """Spike trains by threshold and subtraction, as a neuron fires them (eqs. 20 and 21).

    ``V`` starts as the value clamped to its limits, modulo ``2**bits`` (so that the sign bit of a
    negative value is its first threshold). At every t: ``s[t] = V >= 2**(T-1-t)``, a potential at
    the threshold fires; then ``V -= s[t] 2**(T-1-t)``. Equals :func:`encode` of the clamped values.
    """
    code = SpikeCode(bits, is_signed)
    low, high = code.limits
    v = np.clip(np.asarray(values, np.int64), low, high) & ((1 << bits) - 1)
    spikes = np.zeros((bits, *v.shape), np.uint8)
    for t in range(bits):
        v_th = code.threshold(t)
        spikes[t] = v >= v_th
        v = v - spikes[t].astype(np.int64) * v_th
    return spikes


def count_spikes(values: ArrayLike, bits: int) -> Int64Array:
    """Spikes of each value: one-bits among the low ``bits`` of its two's complement."""
    x = np.asarray(values)
    if x.dtype.kind not in "iu":
        raise TypeError(f"count_spikes: values must be integers, got {x.dtype}")
    ones: Int64Array = np.bitwise_count(x & ((1 << bits) - 1)).astype(np.int64)
    return ones
