# SPDX-License-Identifier: Apache-2.0
"""Ranges of the integers that the processor computes with. Standard library only.

The one home of these limits: models, compiler and gateware take them from here.
"""


def signed_limits(width: int) -> tuple[int, int]:
    """Smallest and largest integer in ``width`` bits of two's complement."""
    half = 1 << (width - 1)
    return -half, half - 1


def limits(bits: int, is_signed: bool) -> tuple[int, int]:
    """Smallest and largest activation of ``bits`` bits, both included.

    Unsigned activations use all codes; signed ones are symmetric, without the most negative code.
    """
    if is_signed:
        top = signed_limits(bits)[1]
        return -top, top
    return 0, (1 << bits) - 1


def code_limits(bits: int, is_signed: bool) -> tuple[int, int]:
    """Smallest and largest value of a spike train of ``bits`` time steps, whatever its spikes.

    Wider than :func:`limits` where the train is signed: its first spike may come alone. Any part of
    the spikes of an activation, in any order, adds up to a value within these limits.
    """
    return signed_limits(bits) if is_signed else limits(bits, False)


def signed_bits(low: int, high: int) -> int:
    """Width of the narrowest two's complement field that holds ``low..high``; ``low <= high``."""
    return max((-low - 1).bit_length() if low < 0 else 0, max(high, 0).bit_length()) + 1
