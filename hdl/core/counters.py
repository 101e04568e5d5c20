# SPDX-License-Identifier: Apache-2.0
"""The counters of a core, which wrap: 32 bits each, 48 for synaptic operations."""

from collections.abc import Mapping

from amaranth import Module, Signal, Value

from stemcore.golden.spec.registers import Control as Register
from stemcore.golden.spec.widths import CHUNK_WIDTH

SOP_WIDTH = 48


def add_counters(
    m: Module, events: Mapping[Register, Value], *, op_valid: Value, op_lanes: Value, clear: Value
) -> dict[Register, Value]:
    """Adds counters to ``m``; returns what each of their registers shows.

    events : by register, how much is counted in a cycle
    op_valid, op_lanes : an operation, and its neurons less one: counted by SOPS_LOW and SOPS_HIGH
    clear : all of them begin anew
    """
    sops = Signal(SOP_WIDTH)
    counters = {register: Signal(CHUNK_WIDTH, name=register.name.lower()) for register in events}
    with m.If(op_valid):
        m.d.sync += sops.eq(sops + op_lanes + 1)
    for register, event in events.items():
        with m.If(event):
            m.d.sync += counters[register].eq(counters[register] + event)
    with m.If(clear):
        m.d.sync += sops.eq(0)
        m.d.sync += [counter.eq(0) for counter in counters.values()]
    return counters | {
        Register.SOPS_LOW: sops[:CHUNK_WIDTH],
        Register.SOPS_HIGH: sops[CHUNK_WIDTH:],
    }
