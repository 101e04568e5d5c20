# SPDX-License-Identifier: Apache-2.0
"""Turns arriving spikes into loop nests of operations."""

from amaranth import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory as RAM
from amaranth.lib.wiring import In, Out

from stemcore.golden.spec.fields import Formats, Memory
from stemcore.golden.spec.params import ChipParams
from stemcore.golden.spec.spike_code import negates
from stemcore.golden.spec.timing import AXON_QUEUE_DEPTH, AXON_ROOM
from stemcore.golden.spec.widths import CHUNK_WIDTH

from ..layouts import ConfigBus, operation, spike_stream, struct
from .address_generator import AddressGenerator, loop_nest_layout
from .memory import ConfigMemory, pick


class AxonIn(wiring.Component):
    """Looks an arriving spike up in the connection tables and issues its loop nest of operations.

    Contract: "Loop nest" in ``hdl/README.md``; reference: ``golden.spec.address_generation``. A
    loop nest of n operations takes n cycles and the next follows without a bubble. A spike issues
    its first operation ``timing.AXON_IN_CYCLES`` after it was taken, if no loop nest is before it.
    Spikes without operations are dropped before they reach the queue: behind a running loop nest
    they cost nothing, else one cycle each.

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
        axons, *tables = self._memories(m)
        m.submodules.generator = generator = AddressGenerator(self._params)
        room = Signal(range(AXON_ROOM + 1), init=AXON_ROOM)
        accept = Signal()
        m.d.comb += [
            self.i.ready.eq(room != 0),
            accept.eq(self.i.valid & self.i.ready),
        ]
        table_v, looked_up = self._look_up(m, accept, axons, tables)
        nest_v, loop_nest = self._add_up(m, table_v, looked_up, tables)
        push = Signal()
        m.d.comb += push.eq(
            nest_v
            & (loop_nest.n_blocks != 0)
            & (loop_nest.n_rows != 0)
            & (loop_nest.n_columns != 0)
        )
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
            self.idle.eq((room == AXON_ROOM) & generator.idle),
            self.stalled.eq(~generator.op_valid & (self.i.valid | ~self.idle)),
        ]
        return m

    def _look_up(self, m, accept, axons, tables):
        """Two stages: read the descriptor of a spike, then the tables at its coordinates.

        Returns whether the tables have been read, and the descriptor with shift and sign of the
        spike's weights, in the same cycle.
        """
        layout = struct(Formats(self._params).axon)
        spike = self.i.payload
        axon_v = Signal()
        axon_spike = Signal(spike.shape(), reset_less=True)
        m.d.comb += [axons.address.eq(spike.axon), axons.enable.eq(accept)]
        m.d.sync += axon_v.eq(accept)
        with m.If(accept):
            m.d.sync += axon_spike.eq(spike)

        axon = data.View(layout, axons.data)
        table_v = Signal()
        table = Signal(self._looked_up_layout(), reset_less=True)
        shift = self._params.model.weight_shift(axon.shift0, axon_spike.t)
        m.d.sync += table_v.eq(axon_v)
        with m.If(axon_v):
            m.d.sync += [
                table.axon.eq(axon),
                table.shift.eq(shift),
                table.negate.eq(negates(axon.is_signed, axon_spike.t)),
            ]
        for name, memory in zip("cyx", tables, strict=True):
            m.d.comb += [
                memory.address.eq(axon[f"{name}_base"] + axon_spike[name]),
                memory.enable.eq(axon_v),
            ]
        return table_v, table

    def _looked_up_layout(self):
        p = self._params
        axon = struct(Formats(p).axon)
        return data.StructLayout({"axon": axon, "shift": p.shift_width, "negate": 1})

    def _add_up(self, m, table_v, looked_up, tables):
        """The loop nest of what was looked up, three cycles later: tables register what they say,
        since block memories are slow, and so are the sums. Returns its strobe, and the loop nest.
        """
        formats = Formats(self._params)
        sum_v = Signal()
        nest_v = Signal()
        nest = Signal.like(looked_up, reset_less=True)
        m.d.sync += [sum_v.eq(table_v), nest_v.eq(sum_v)]
        with m.If(table_v):
            m.d.sync += nest.eq(looked_up)
        c, y, x = (
            data.View(struct(layout), memory.data)
            for layout, memory in zip(
                (formats.table_c, formats.table_y, formats.table_x), tables, strict=True
            )
        )
        loop_nest = Signal(loop_nest_layout(self._params), reset_less=True)
        sums = Signal.like(loop_nest)
        with m.If(sum_v):
            m.d.sync += loop_nest.eq(sums)
        m.d.comb += [
            sums.acc.eq(c.acc + y.acc + x.acc),
            sums.weight.eq(c.weight + y.weight + x.weight),
            sums.n_blocks.eq(c.count),
            sums.n_columns.eq(x.count),
            sums.n_rows.eq(y.count),
            sums.single_block.eq(c.count == 1),
            sums.single_column.eq(x.count == 1),
            sums.single_row.eq(y.count == 1),
            sums.shift.eq(nest.shift),
            sums.negate.eq(nest.negate),
            sums.tail.eq(nest.axon.tail),
        ]
        for step in ("y_acc_step", "x_acc_step", "y_weight_step", "x_weight_step"):
            m.d.comb += sums[step].eq(nest.axon[step])
        return nest_v, loop_nest

    def _memories(self, m):
        """The four memories, and the answer of the one that was read."""
        memory = Signal.like(self.config.memory)
        with m.If(self.config.read):
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
        """Queues ``loop_nest``; returns the strobe with which one leaves for the generator."""
        m.submodules.queue = queue = RAM(shape=loop_nest.shape(), depth=AXON_QUEUE_DEPTH, init=[])
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
