# SPDX-License-Identifier: Apache-2.0
"""Turns arriving spikes into loop nests of operations."""

from amaranth import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory as RAM
from amaranth.lib.wiring import In, Out

from stemcore.golden.spec.fields import Formats, Memory
from stemcore.golden.spec.params import CHUNK_WIDTH, ChipParams

from ..layouts import ConfigBus, operation, spike_stream, struct
from .address_generator import AddressGenerator, loop_nest_layout
from .memory import ConfigMemory, pick

QUEUE_DEPTH = 16  # entries of the queue of loop nests; a power of two
N_ROOM = QUEUE_DEPTH - 1  # spikes that may be between the input and the address generator


class AxonIn(wiring.Component):
    """Looks an arriving spike up in the connection tables and loop nests its operations.

    Contract: "Loop nest" in ``hdl/README.md``; reference: ``golden.spec.address_generation``. A
    loop nest of n operations takes n cycles and the next follows without a bubble. A spike taken in
    cycle 0 issues its first operation in cycle 6, if no loop nest is before it. Spikes without
    operations are dropped before they reach the queue: behind a running loop nest they cost
    nothing, else one cycle each.

    Parameters
    ----------
    params : ChipParams
        Tables must have a power of two of entries.

    Members
    -------
    config, read_chunk : ``In(ConfigBus())``, ``Out(32)``
        Configuration of AXON, TABLE_C, TABLE_Y and TABLE_X.
    i : ``In(spike_stream(params))``
        Spikes. ``i.ready`` is a function of registers alone.
    op, op_valid : ``Out(operation(params))``, ``Out(1)``
        An operation is issued; it cannot be stalled.
    idle : ``Out(1)``
        No spike and no loop nest is in here.
    stalled : ``Out(1)``
        A spike is in here or waits at ``i``, but no operation is issued.
    """

    def __init__(self, params: ChipParams):
        for name in ("n_table_c", "n_table_y", "n_table_x"):
            size = getattr(params, name)
            if size & (size - 1):
                raise ValueError(f"ChipParams.{name}: must be a power of two, got {size}")
        self._params = params
        super().__init__(
            {
                "config": In(ConfigBus()),
                "read_chunk": Out(CHUNK_WIDTH),
                "i": In(spike_stream(params)),
                "op": Out(operation(params)),
                "op_valid": Out(1),
                "idle": Out(1),
                "stalled": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        axons, table_c, table_y, table_x = self._memories(m)
        formats = Formats(self._params)
        spike = self.i.payload

        # Accept a spike: read its descriptor.
        accept = Signal()
        room = Signal(range(N_ROOM + 1), init=N_ROOM)
        axon_v = Signal()
        axon_spike = Signal(spike.shape(), reset_less=True)
        m.d.comb += [
            self.i.ready.eq(room != 0),
            accept.eq(self.i.valid & self.i.ready),
            axons.address.eq(spike.axon),
            axons.enable.eq(accept),
        ]
        m.d.sync += axon_v.eq(accept)
        with m.If(accept):
            m.d.sync += axon_spike.eq(spike)

        # Read the tables.
        axon = data.View(struct(formats.axon), axons.data)
        table_v = Signal()
        table_axon = Signal(axon.shape(), reset_less=True)
        table_shift = Signal.like(axon.shift0, reset_less=True)
        table_negate = Signal(reset_less=True)
        m.d.sync += table_v.eq(axon_v)
        with m.If(axon_v):
            m.d.sync += [
                table_axon.eq(axon),
                table_shift.eq(axon.shift0 - (0 if self._params.is_stepped else axon_spike.t)),
                table_negate.eq(axon.is_signed & (axon_spike.t == 0)),
            ]
        for name, table in (("c", table_c), ("y", table_y), ("x", table_x)):
            m.d.comb += [
                table.address.eq(axon[f"{name}_base"] + axon_spike[name]),
                table.enable.eq(axon_v),
            ]

        # The tables register what they say: block memories are slow.
        nest_v = Signal()
        nest_axon = Signal(axon.shape(), reset_less=True)
        nest_shift = Signal.like(table_shift)
        nest_negate = Signal.like(table_negate)
        c = data.View(struct(formats.table_c), table_c.data)
        y = data.View(struct(formats.table_y), table_y.data)
        x = data.View(struct(formats.table_x), table_x.data)
        m.d.sync += nest_v.eq(table_v)
        with m.If(table_v):
            m.d.sync += [
                nest_axon.eq(table_axon),
                nest_shift.eq(table_shift),
                nest_negate.eq(table_negate),
            ]

        # Add up, and queue the loop nest unless it is empty.
        loop_nest = Signal(loop_nest_layout(self._params))
        push = Signal()
        m.d.comb += [
            loop_nest.acc.eq(c.acc + y.acc + x.acc),
            loop_nest.weight.eq(c.weight + y.weight + x.weight),
            loop_nest.n_blocks.eq(c.count),
            loop_nest.n_columns.eq(x.count),
            loop_nest.n_rows.eq(y.count),
            loop_nest.single_block.eq(c.count == 1),
            loop_nest.single_column.eq(x.count == 1),
            loop_nest.single_row.eq(y.count == 1),
            loop_nest.shift.eq(nest_shift),
            loop_nest.negate.eq(nest_negate),
            loop_nest.tail.eq(nest_axon.tail),
            push.eq(nest_v & (c.count != 0) & (y.count != 0) & (x.count != 0)),
        ]
        for step in ("y_acc_step", "x_acc_step", "y_weight_step", "x_weight_step"):
            m.d.comb += loop_nest[step].eq(nest_axon[step])
        m.submodules.generator = generator = AddressGenerator(self._params)
        pop = self._queue(m, loop_nest, push, generator)

        # Room is what is left of the queue after all that is on its way to it.
        popped = Signal()
        dropped = Signal()
        m.d.sync += [
            popped.eq(pop),
            dropped.eq(nest_v & ~push),
            room.eq(room - accept + popped + dropped),
        ]
        m.d.comb += [
            self.op.eq(generator.op),
            self.op_valid.eq(generator.op_valid),
            self.idle.eq((room == N_ROOM) & generator.idle),
            self.stalled.eq(~generator.op_valid & (self.i.valid | ~self.idle)),
        ]
        return m

    def _memories(self, m):
        """The four memories, and the answer of the one that was read."""
        memory = Signal.like(self.config.memory)
        m.d.sync += memory.eq(self.config.memory)
        tables = []
        for kind in (Memory.AXON, Memory.TABLE_C, Memory.TABLE_Y, Memory.TABLE_X):
            registered = kind is not Memory.AXON
            table = ConfigMemory(params=self._params, memory=kind, registered=registered)
            m.submodules[kind.name.lower()] = table
            wiring.connect(m, bus=wiring.flipped(self.config), memory=table.config)
            tables.append(table)
        chunks = [table.read_chunk for table in tables]
        m.d.comb += self.read_chunk.eq(pick(chunks, (memory - Memory.AXON)[:2]))
        return tables

    def _queue(self, m, loop_nest, push, generator):
        """Queues ``loop_nest``; gives the strobe with which one leaves for "
        "the address generator."""
        m.submodules.queue = queue = RAM(shape=loop_nest.shape(), depth=QUEUE_DEPTH, init=[])
        write, read = queue.write_port(), queue.read_port(domain="comb")
        pop = Signal()
        m.d.comb += [
            write.data.eq(loop_nest),
            write.en.eq(push),
            generator.i.payload.eq(read.data),
            generator.i.valid.eq(write.addr != read.addr),
            pop.eq(generator.i.valid & generator.i.ready),
        ]
        with m.If(push):
            m.d.sync += write.addr.eq(write.addr + 1)
        with m.If(pop):
            m.d.sync += read.addr.eq(read.addr + 1)
        return pop
