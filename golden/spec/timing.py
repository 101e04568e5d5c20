# SPDX-License-Identifier: Apache-2.0
"""Clock cycles of the phases of a core, as far as they follow from counts.

The one place where the compiler states how long the gateware takes.
"""

from .params import ChipParams

SOMA_LATENCY = {True: 12, False: 10}  # cycles in the soma's pipeline, with multipliers and without
# ... and of the update before it, where integration is per time step.
STEP_LATENCY = {
    ("exact", True): 0,
    ("exact", False): 0,
    ("late", True): 4,
    ("late", False): 4,
    ("scaled", True): 8,
    ("scaled", False): 6,
}
UPDATE_OVERHEAD = 5  # cycles of an update pass beside its groups and the pipeline
EXCHANGE_CYCLES = 20  # from a last spike's firing to the update pass that it permits, without hops
HOP_CYCLES = 2  # cycles that a flit takes from router to router

# What happens between these phases, in cycles; hdl/README.md has the table of the blocks.
FLIT_CYCLES = 2  # of a spike or END, beside its hops, from axon-out to a core's ingress
SPIKE_CYCLES = 8  # ingress to first operation: queue of spikes 2, axon-in 6
DRAIN_CYCLES = 6  # last operation to the update pass it permits: the dendrite's pipeline
TOKEN_CYCLES = 2  # END or CREDIT at the ingress to the update pass or firing that it permits
GRANT_CYCLES = 9  # update pass to firing in a source, beside hops: grant 2, CREDIT 5, control 2
FINISH_CYCLES = 2  # an update pass, or a firing, to the core's own next phase
FIRE_CYCLES = 12  # command to fire to the first flit
PACE_CYCLES = 7  # level of the queue to the source that obeys, beside hops: level 2, PACE 4, held 1
NEST_SPIKES = (
    17  # spikes in a core beyond its queue: axon-in's 15, and two in the address generator
)


def update_cycles(params: ChipParams, n_entries: float) -> float:
    """Cycles of one update pass of the soma over ``n_entries`` entries."""
    latency = SOMA_LATENCY[params.multipliers]
    latency += STEP_LATENCY[params.integration, params.multipliers]
    return n_entries * params.n_groups + latency + UPDATE_OVERHEAD


def fire_cycles(bits: int, n_words: float, n_packets: float) -> float:
    """Cycles in which axon-out visits ``n_words`` words ``bits`` times and sends ``n_packets``.

    It looks for spikes while it sends those found; a packet for each destination entry a cycle.
    """
    scan = bits * n_words
    return scan * (scan > n_packets) + n_packets * (scan <= n_packets)
