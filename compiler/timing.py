# SPDX-License-Identifier: Apache-2.0
"""Clock cycles of the phases of a core, as far as they follow from counts.

The one place where the compiler states how long the gateware takes.
"""

from golden.params import ChipParams

SWEEP_ENTRY_OVERHEAD = 0  # cycles per sweep entry beyond one for each group of lanes
SWEEP_OVERHEAD = 12  # cycles per sweep: pipeline fill and drain
HOP_CYCLES = 1  # cycles a flit takes from router to router
CORE_CYCLES = 8  # cycles from a flit's arrival to its operation, and from firing to the link


def sweep_cycles(params: ChipParams, n_entries: float) -> float:
    """Cycles of one sweep of the soma over ``n_entries`` entries."""
    return n_entries * (params.n_groups + SWEEP_ENTRY_OVERHEAD) + SWEEP_OVERHEAD


def fire_cycles(bits: int, n_words: float, n_packets: float) -> float:
    """Cycles in which axon-out scans ``n_words`` words ``bits`` times and sends ``n_packets``."""
    return bits * n_words + n_packets
