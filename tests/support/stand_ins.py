# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Stand-ins for blocks in proofs of what is wired around them: they do anything they may do."""

from amaranth.asserts import AnySeq
from amaranth.hdl import Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import Flow


def drive_freely(m: Module, component: wiring.Component, but=()) -> None:
    """Every output of ``component``, but those named in ``but``, is the solver's in every cycle.

    Names are those of ports, with an underscore between the parts: ``o_valid``.
    """
    for path, member, value in component.signature.flatten(component):
        if member.flow is Flow.Out and "_".join(map(str, path)) not in but:
            value = Value.cast(value)
            m.d.comb += value.eq(AnySeq(len(value)))


def free(block: type[wiring.Component]) -> type[wiring.Component]:
    """A class with the ports of ``block`` that may do anything at any time."""

    class Free(block):
        def elaborate(self, platform):
            m = Module()
            drive_freely(m, self)
            clocked = Signal()  # a block that is reset needs something to reset
            m.d.sync += clocked.eq(clocked)
            return m

    Free.__name__ = f"Free{block.__name__}"
    return Free
