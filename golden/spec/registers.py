# SPDX-License-Identifier: Apache-2.0
"""Control registers and counters of a core. Standard library only."""

from enum import IntEnum


class Control(IntEnum):
    """Registers of the memory ``CONTROL``, 32 bits each. From SOPS_LOW on they are read-only."""

    N_SOURCES = 0  # END tokens that complete a sample
    N_DESTINATIONS = 1  # CREDIT tokens that permit a sample to be fired
    N_UPDATE = 2  # entries of the update pass table in use
    N_FIRE = 3  # words of the activation memory in use
    MODE = 4  # fields ``mode``
    END_LIST = 5  # fields ``token_list``: destinations of END
    CREDIT_LIST = 6  # fields ``token_list``: destinations of CREDIT
    INTEGRATION = 7  # fields ``integration``; only where the neuron model has one
    COMMAND = 8  # fields ``command``; reads as zero
    WATCHDOG = 9  # n: 2**(n + 4) cycles without progress are an error; 0: never
    SOPS_LOW = 16  # weights added for spikes, bits 0..31
    SOPS_HIGH = 17
    SPIKES_IN = 18  # spike packets accepted
    SPIKES_OUT = 19  # spike packets sent (one per spike and destination entry)
    FIRED = 20  # spikes fired (set bits of the activations)
    BUSY = 21  # cycles in which the dendrite took an operation
    STALLED = 22  # cycles in which a spike waited and the dendrite got no operation
    UPDATE_CYCLES = 23  # cycles of the soma's update passes
    FIRE_CYCLES = 24  # cycles in which axon-out was firing
    SAMPLES = 25  # samples updated
    HOPS = 26  # links that this node's router passed spike packets to (every branch counts)
    FLAGS = 27  # fields ``flags``
    ERRORS = 28  # fields ``errors``: what was wrong since they were cleared
    ERROR_FLIT_LOW = 29  # the first flit that was an error, bits 0..31
    ERROR_FLIT_HIGH = 30
    STATUS = 31  # fields ``status``: what the core waits for


# Registers that the host may write, from 0 up; COMMAND alone while the core runs.
N_WRITABLE = Control.WATCHDOG + 1
N_CONTROL = 32  # registers in the map, holes read as zero
RANGES = 1024  # words of CONTROL from here on: fields ``range`` of every axon; cannot be read
