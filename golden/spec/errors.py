# SPDX-License-Identifier: Apache-2.0
"""Errors of the protocol that a core sees, counts and survives. Standard library only."""

from enum import IntEnum


class Error(IntEnum):
    """Causes of an error, by their bits in the register ERRORS of a core.

    A flit that is an error changes nothing but the registers of errors: it is dropped.
    """

    TOKEN = 0  # END or CREDIT that is not due
    PACE = 1  # PACE to go on without one to hold, or to hold from more nodes than there are
    SPIKE = 2  # spike of a token period that was not granted, or that all sources have ended
    RANGE = 3  # spike of an axon, a neuron or a time step that there is not
    WRITE = 4  # WRITE beyond a memory, to a read-only register, or to a core that runs
    READ = 5  # READ beyond a memory, of a memory of a core that runs, or while an answer waits
    COMMAND = 6  # unknown command, or START of a core that runs
    KIND = 7  # DATA, which only the host receives
    RESERVED = 8  # bits of a payload that its kind does not use are not zero
    OUTSIDE = 9  # a destination beyond the edge of the mesh, or none: this node's router dropped it
    STANDSTILL = 10  # not a flit: the watchdog saw no progress


MEANINGS = {
    Error.TOKEN: "an END or CREDIT that was not due",
    Error.PACE: "a PACE that matches no other",
    Error.SPIKE: "a spike of a token period that was not granted",
    Error.RANGE: "a spike of an axon, a neuron or a time step that there is not",
    Error.WRITE: "a WRITE beyond a memory, or to a core that runs",
    Error.READ: "a READ beyond a memory, of a core that runs, or while an answer waits",
    Error.COMMAND: "a command that is unknown, or START of a core that runs",
    Error.KIND: "a flit of a kind that no core receives",
    Error.RESERVED: "bits set that must be zero",
    Error.OUTSIDE: "a destination outside the mesh, or none",
    Error.STANDSTILL: "no progress for as many cycles as the watchdog permits",
}

ERROR_COUNT_WIDTH = 8  # bits of the count of errors, which saturates
TOKEN_COUNT_WIDTH = 12  # bits of the counts of tokens in the register STATUS
WATCHDOG_WIDTH = 4  # bits of the register WATCHDOG


def watchdog_cycles(setting: int) -> int:
    """Cycles without progress that the watchdog permits: 32 for 1, to 524,288 for 15."""
    return 16 << setting
