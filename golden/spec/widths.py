# SPDX-License-Identifier: Apache-2.0
"""Widths that every chip has in common, whatever its preset. Standard library only."""

WEIGHT_WIDTH = 8  # bits of a synaptic weight, symmetric: -127..127
ACTIVATION_WIDTH = 8  # bits reserved for an activation; a layer uses the lowest 2 to 8 of them
BIAS_WIDTH = 32  # bits of a bias at accumulator scale
BIAS_SHIFT_WIDTH = 2  # bits of a bias's left shift, in bytes
MULTIPLIER_WIDTH = 16  # bits of the requantization multiplier
PRODUCT_WIDTH = 48  # bits of multiplier * potential + bias, before the rounding shift
CHUNK_WIDTH = 32  # bits of one configuration write
STEP_WIDTH = 16  # bits of sums and potentials where every time step has a sum of its own
GAP_WIDTH = 6  # bits of the distance of spikes sent, in cycles


def bits_for(n_values: int) -> int:
    """Width of an unsigned field that tells ``n_values`` apart; at least one bit."""
    return max(1, (n_values - 1).bit_length())


T_WIDTH = bits_for(ACTIVATION_WIDTH)  # bits of a time step of the largest activation
BITS_WIDTH = bits_for(ACTIVATION_WIDTH + 1)  # bits of a number of time steps
