# SPDX-License-Identifier: Apache-2.0
"""Clock cycles of the blocks of a core, and of the phases that follow from counts.

The one place that states how long the gateware takes: blocks take their depths from here, tests
measure the blocks that have none, and the compiler's estimate counts on both.
"""

from .params import ChipParams

# Blocks -----------------------------------------------------------------------------------------
REQUANTIZE_LATENCY = (10, 12)  # stages of requantization: without multipliers, and with them
UPDATE_OVERHEAD = 6  # cycles of an update pass beside its groups and the pipeline
AXON_QUEUE_DEPTH = 16  # loop nests that wait in axon-in; a power of two
AXON_ROOM = AXON_QUEUE_DEPTH - 1  # spikes between axon-in's input and its address generator
NEST_SPIKES = AXON_ROOM + 2  # spikes in a core beyond its queue: two are in the address generator
SPIKE_QUEUE_CYCLES = 2  # of a spike through an empty queue of spikes
AXON_IN_CYCLES = 7  # from a spike at the input to its first operation, in an empty block
OVERFLOW_CYCLES = 7  # from an operation to the overflow that it causes; its sum is written by then
FIRE_CYCLES = 13  # command to fire to the first flit
FIRE_OVERHEAD = 11  # cycles of a firing without spikes beside its words and ENDs

# Routers and what happens between the phases of cores -------------------------------------------
HOP_CYCLES = 2  # cycles that a flit takes from router to router
FLIT_CYCLES = 3  # of a spike or END, beside its hops, from axon-out to a core's ingress
SPIKE_CYCLES = SPIKE_QUEUE_CYCLES + AXON_IN_CYCLES  # ingress to first operation
DRAIN_CYCLES = OVERFLOW_CYCLES  # last operation to the update pass that it permits
TOKEN_CYCLES = 2  # END or CREDIT at the ingress to the update pass or firing that it permits
GRANT_CYCLES = 11  # update pass to firing in a source, beside hops: grant 2, CREDIT 7, control 2
FINISH_CYCLES = 2  # an update pass, or a firing, to the core's own next phase
PACE_CYCLES = 9  # level of the queue to the source that obeys, beside hops: level 2, PACE 6, held 1
EXCHANGE_CYCLES = 23  # from a last spike's firing to the update pass that it permits, without hops


def soma_latency(params: ChipParams) -> int:
    """Cycles in the soma's pipeline: the neuron model's update, and requantization."""
    requantize = REQUANTIZE_LATENCY[params.multipliers]
    return params.model.update_latency(params.multipliers) + requantize


def update_cycles(params: ChipParams, n_entries: float) -> float:
    """Cycles of one update pass of the soma over ``n_entries`` entries."""
    return n_entries * params.n_groups + soma_latency(params) + UPDATE_OVERHEAD


def fire_cycles(bits: int, n_words: float, n_packets: float) -> float:
    """Cycles in which axon-out visits ``n_words`` words ``bits`` times and sends ``n_packets``.

    It looks for spikes while it sends those found; a packet for each destination entry a cycle.
    """
    scan = bits * n_words
    return scan * (scan > n_packets) + n_packets * (scan <= n_packets)
