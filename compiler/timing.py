# SPDX-License-Identifier: Apache-2.0
"""Clock cycles of the phases of a core, as far as they follow from counts.

The one place where the compiler states how long the gateware takes.
"""

from golden.params import ChipParams

SOMA_LATENCY = {True: 12, False: 10}  # cycles in the soma's pipeline, with multipliers and without
# ... and of the update before it, where integration is per time step.
UPDATE_LATENCY = {
    ("exact", True): 0, ("exact", False): 0, ("late", True): 4, ("late", False): 4,
    ("scaled", True): 8, ("scaled", False): 6,
}  # fmt: skip
SWEEP_OVERHEAD = 5  # cycles of a sweep beside its groups and the pipeline
EXCHANGE_CYCLES = 20  # from a last spike's firing to the sweep that it permits, without hops
HOP_CYCLES = 2  # cycles that a flit takes from router to router


def sweep_cycles(params: ChipParams, n_entries: float) -> float:
    """Cycles of one sweep of the soma over ``n_entries`` entries."""
    latency = SOMA_LATENCY[params.multipliers]
    latency += UPDATE_LATENCY[params.integration, params.multipliers]
    return n_entries * params.n_groups + latency + SWEEP_OVERHEAD


def fire_cycles(bits: int, n_words: float, n_packets: float) -> float:
    """Cycles in which axon-out visits ``n_words`` words ``bits`` times and sends ``n_packets``.

    It looks for spikes while it sends those found; a packet for each destination entry a cycle.
    """
    scan = bits * n_words
    return scan * (scan > n_packets) + n_packets * (scan <= n_packets)
