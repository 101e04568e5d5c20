# SPDX-License-Identifier: Apache-2.0
"""Writes the register COMMAND of cores, as the host would with two flits of its own."""

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from stemcore.golden.spec.fields import Formats, Kind, Memory
from stemcore.golden.spec.host_registers import HOST_REGISTERS
from stemcore.golden.spec.params import ChipParams
from stemcore.golden.spec.registers import Control

from ..layouts import flit_stream, struct

NODES = struct(HOST_REGISTERS["NODES"].layout)
COMMAND = struct(HOST_REGISTERS["COMMAND"].layout)


class Commander(wiring.Component):
    """Sends ADDRESS and WRITE to a rectangle of nodes; begins in the cycle after ``command``.

    The configuration pointer of these nodes moves, as with any ADDRESS.

    Parameters
    ----------
    params : ChipParams
    columns, rows : int
        Nodes of the chip.

    Members
    -------
    command : ``In(COMMAND)``
        Bits to write, for one cycle; not while ``sending``, and only where ``inside``.
    nodes : ``In(NODES)``
    inside : ``Out(1)``
        ``nodes`` is a rectangle within the mesh.
    cancel : ``In(1)``
        Drops what is left to send.
    sending : ``Out(1)``
    done : ``Out(1)``
        The last flit is taken in this cycle.
    o : ``Out(stream)`` of flits
    """

    def __init__(self, *, params: ChipParams, columns: int, rows: int):
        self._formats, self._columns, self._rows = Formats(params), columns, rows
        super().__init__(
            {
                "command": In(COMMAND),
                "nodes": In(NODES),
                "inside": Out(1),
                "cancel": In(1),
                "sending": Out(1),
                "done": Out(1),
                "o": Out(flit_stream(params)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        nodes = Signal(NODES)
        word = Signal(COMMAND)
        is_second = Signal()
        flit = self.o.payload
        pointer = self._formats.pointer.pack(
            memory=int(Memory.CONTROL), chunk=0, address=int(Control.COMMAND)
        )
        m.d.comb += [
            self.inside.eq(
                (self.nodes.x0 <= self.nodes.x1)
                & (self.nodes.x1 < self._columns)
                & (self.nodes.y0 >= 1)
                & (self.nodes.y0 <= self.nodes.y1)
                & (self.nodes.y1 <= self._rows)
            ),
            self.o.valid.eq(self.sending),
            flit.kind.eq(Mux(is_second, Kind.WRITE.value, Kind.ADDRESS.value)),
            *(flit[name].eq(nodes[name]) for name in NODES.members),
            flit.payload.eq(Mux(is_second, word.as_value(), pointer)),
            self.done.eq(is_second & self.o.ready & ~self.cancel),
        ]
        with m.If(self.cancel):
            m.d.sync += [self.sending.eq(0), is_second.eq(0)]
        with m.Elif(self.command.as_value().any()):
            m.d.sync += [self.sending.eq(1), word.eq(self.command), nodes.eq(self.nodes)]
        with m.Elif(self.sending & self.o.ready):
            m.d.sync += [self.sending.eq(~is_second), is_second.eq(~is_second)]
        return m
