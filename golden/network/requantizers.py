# SPDX-License-Identifier: Apache-2.0
"""From potentials to activations on batches: :func:`~stemcore.golden.arithmetic.fixed.requantize`.

Four ways to the same integers; :func:`requantizer_of` takes the fastest that is exact for a layer.
Arrays are channels-last floats that hold whole numbers.
"""

from typing import Protocol

import numpy as np

from ..arithmetic.fixed import Int64Array, digit, requantize
from ..spec.integers import limits
from ..spec.neurons import model_of
from ..spec.widths import ACTIVATION_WIDTH, PRODUCT_WIDTH
from .convolution import FLOAT32_BOUND, FLOAT64_BOUND, FloatArray, Scratch
from .network import Layer


class Requantizer(Protocol):
    """Activations of potentials that have been multiplied by ``unit``."""

    @property
    def unit(self) -> FloatArray:
        """By channel; powers of two."""
        ...

    def __call__(self, z: FloatArray) -> FloatArray:
        """float32 activations of potentials (N, H, W, C), which may be overwritten."""
        ...


def requantizer_of(layer: Layer, low: int, high: int, acc_width: int) -> Requantizer:
    """What requantizes potentials of ``low..high``, held in ``acc_width`` bits."""
    if layer.digits is not None:
        return DigitBytes(layer)
    largest_bias = int(np.abs(shifted_bias(layer)).max())
    largest = max(-low, high)
    folds = bool((layer.multiplier == 1).all()) and model_of(layer.neuron).is_exact
    if wraps(layer, low, high, acc_width):
        return IntegerProduct(layer)
    if folds and largest + largest_bias < FLOAT64_BOUND:
        return FoldedShift(layer, largest + largest_bias)
    return FloatProduct(layer)


def shifted_bias(layer: Layer) -> Int64Array:
    """The bias at the product's scale."""
    return layer.bias.astype(np.int64) << (8 * layer.bias_shift)


def wraps(layer: Layer, low: int, high: int, acc_width: int) -> bool:
    """Whether ``multiplier * z + bias`` can leave its register.

    The accumulator's range is checked, so no potential beyond it needs to be exact.
    """
    magnitude = min(max(-low, high), 1 << (acc_width - 1))
    product = magnitude * int(layer.multiplier.max()) + int(np.abs(shifted_bias(layer)).max())
    return product >= 1 << (PRODUCT_WIDTH - 1)


class FoldedShift:
    """Multipliers of 1: the scale is folded into the weights, so add the bias, round and clamp."""

    def __init__(self, layer: Layer, widest: int):
        self._layer = layer
        self.unit = np.ldexp(np.ones(layer.shape[0]), -layer.shift)
        self._dtype = np.dtype(np.float32 if widest < FLOAT32_BOUND else np.float64)
        bias = np.ldexp(shifted_bias(layer).astype(np.float64), -layer.shift)
        self._bias = bias.astype(self._dtype)

    def __call__(self, z: FloatArray) -> FloatArray:
        """In place where the type is right already."""
        return _round_and_clamp(z.astype(self._dtype, copy=False), self._bias, self._layer)


class FloatProduct:
    """The product in float64, which holds its 48 bits."""

    def __init__(self, layer: Layer):
        self._layer = layer
        self.unit = np.ones(layer.shape[0])
        # Powers of two cost no bit of the significand, so they are multiplied in beforehand.
        self._scale = np.ldexp(layer.multiplier.astype(np.float64), -layer.shift)
        self._bias = np.ldexp(shifted_bias(layer).astype(np.float64), -layer.shift)
        self._scratch = Scratch()

    def __call__(self, z: FloatArray) -> FloatArray:
        """Potentials stay as they are."""
        product = self._scratch.get("product", z.shape, np.float64)
        return _round_and_clamp(np.multiply(z, self._scale, out=product), self._bias, self._layer)


def _round_and_clamp(z: FloatArray, bias: FloatArray, layer: Layer) -> FloatArray:
    z += bias
    np.rint(z, out=z)  # ties to even
    # A copy: z is scratch, which the next batch overwrites.
    return np.clip(z, *limits(layer.bits, layer.is_signed)).astype(np.float32, copy=False)


class IntegerProduct:
    """The product in int64, which wraps as the register does."""

    def __init__(self, layer: Layer):
        self._layer = layer
        self.unit = np.ones(layer.shape[0])

    def __call__(self, z: FloatArray) -> FloatArray:
        """Potentials stay as they are."""
        layer = self._layer
        return requantize(
            z.astype(np.int64),
            layer.bias,
            layer.multiplier,
            layer.shift,
            layer.bias_shift,
            layer.bits,
            layer.is_signed,
        ).astype(np.float32)


class DigitBytes:
    """Bytes of the product in place of activations, see :class:`~.network.Digits`."""

    def __init__(self, layer: Layer):
        assert layer.digits is not None
        self._layer, self._digits = layer, layer.digits
        self.unit = np.ones(layer.shape[0])

    def __call__(self, z: FloatArray) -> FloatArray:
        """Digits lie ``step`` channels apart; potentials stay as they are."""
        layer, digits = self._layer, self._digits
        out = np.zeros((*z.shape[:-1], digits.count * digits.step), np.float32)
        integers = z.astype(np.int64)
        for d in range(digits.count):
            start = d * digits.step
            out[..., start : start + layer.shape[0]] = digit(
                integers,
                layer.bias,
                layer.multiplier,
                layer.shift + ACTIVATION_WIDTH * d,
                layer.bias_shift,
            )
        return out
