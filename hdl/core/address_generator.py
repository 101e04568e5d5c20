# SPDX-License-Identifier: Apache-2.0
"""Steps through the operations of loop nests, one a cycle."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from stemcore.golden.spec.fields import Formats
from stemcore.golden.spec.params import ChipParams

from ..layouts import operation


def loop_nest_layout(params: ChipParams) -> data.StructLayout:
    """A loop nest of at least one operation: its first addresses, its counts and its steps.

    ``single_*`` says that the count is one.
    """
    formats = Formats(params)
    axon, table_c, table_y = (
        dict(fields.widths) for fields in (formats.axon, formats.table_c, formats.table_y)
    )
    steps = ("y_acc_step", "x_acc_step", "y_weight_step", "x_weight_step")
    return data.StructLayout(
        {
            "acc": params.acc_address_width,
            "weight": params.weight_address_width,
            "n_blocks": table_c["count"],
            "n_columns": table_y["count"],
            "n_rows": table_y["count"],
            "single_block": 1,
            "single_column": 1,
            "single_row": 1,
            **{step: axon[step] for step in steps},
            "shift": params.shift_width,
            "negate": 1,
            "tail": params.lane_width,
        }
    )


class AddressGenerator(wiring.Component):
    """Issues the operations of loop nests: rows, in a row columns, in a column channel blocks.

    A loop nest of n operations takes n cycles; the next follows without a bubble if it waits at
    ``i`` by then. A loop nest taken in cycle 0 issues its first operation in cycle 2.

    Parameters
    ----------
    params : ChipParams

    Members
    -------
    i : ``In(stream)`` of ``loop_nest_layout(params)``
        Loop nests. ``i.ready`` is a function of registers alone.
    op, op_valid : ``Out(operation(params))``, ``Out(1)``
        An operation, from registers (``n_lanes`` from two of them). Cannot be stalled.
    idle : ``Out(1)``
        No loop nest is in here.
    """

    def __init__(self, params: ChipParams):
        self._params = params
        super().__init__(
            {
                "i": In(stream.Signature(loop_nest_layout(params))),
                "op": Out(operation(params)),
                "op_valid": Out(1),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        p = self._params
        layout = loop_nest_layout(p)
        following = Signal(layout, reset_less=True)
        following_v = Signal()
        loop_nest = Signal(layout, reset_less=True)
        nest_v = Signal()
        # Numbers of blocks, columns, rows from the present one on; is the present one the last?
        n_blocks, n_columns, n_rows = (
            Signal(layout[f"n_{name}"].shape, name=f"n_{name}", reset_less=True)
            for name in ("blocks", "columns", "rows")
        )
        last_block, last_column, last_row = (
            Signal(name=f"last_{name}", reset_less=True) for name in ("block", "column", "row")
        )
        change = Signal()  # to the next loop nest
        m.d.comb += [
            change.eq(~nest_v | (last_block & last_column & last_row)),
            self.i.ready.eq(~following_v | change),
            self.op_valid.eq(nest_v),
            self.idle.eq(~nest_v & ~following_v),
            self.op.shift.eq(loop_nest.shift),
            self.op.negate.eq(loop_nest.negate),
            # A full word is all ones.
            self.op.n_lanes.eq(loop_nest.tail | (~last_block).replicate(p.lane_width)),
        ]
        with m.If(self.i.ready):
            m.d.sync += following_v.eq(self.i.valid)
            with m.If(self.i.valid):
                m.d.sync += following.eq(self.i.payload)

        with m.If(change):
            m.d.sync += nest_v.eq(following_v)
            with m.If(following_v):
                m.d.sync += [
                    loop_nest.eq(following),
                    n_rows.eq(following.n_rows),
                    last_row.eq(following.single_row),
                ]
        with m.Elif(last_block & last_column):
            m.d.sync += [n_rows.eq(n_rows - 1), last_row.eq(n_rows == 2)]

        with m.If(change):
            with m.If(following_v):
                m.d.sync += [
                    n_columns.eq(following.n_columns),
                    last_column.eq(following.single_column),
                    n_blocks.eq(following.n_blocks),
                    last_block.eq(following.single_block),
                ]
        with m.Elif(last_block):
            m.d.sync += [n_blocks.eq(loop_nest.n_blocks), last_block.eq(loop_nest.single_block)]
            with m.If(last_column):
                m.d.sync += [
                    n_columns.eq(loop_nest.n_columns),
                    last_column.eq(loop_nest.single_column),
                ]
            with m.Else():
                m.d.sync += [n_columns.eq(n_columns - 1), last_column.eq(n_columns == 2)]
        with m.Else():
            m.d.sync += [n_blocks.eq(n_blocks - 1), last_block.eq(n_blocks == 2)]

        for name in ("acc", "weight"):
            self._address(
                m, name, loop_nest, following, change, following_v, last_block, last_column
            )
        return m

    def _address(self, m, name, loop_nest, following, change, following_v, last_block, last_column):
        """The address ``op[name]``, with those of the next column and row held ready."""
        width = len(self.op[name])
        address, column, row = (
            Signal(width, name=f"{kind}{name}", reset_less=True)
            for kind in ("", "next_column_", "next_row_")
        )
        x_step, y_step = f"x_{name}_step", f"y_{name}_step"
        m.d.comb += self.op[name].eq(address)
        with m.If(change):
            with m.If(following_v):
                m.d.sync += address.eq(following[name])
        with m.Elif(~last_block):
            m.d.sync += address.eq(address + 1)
        with m.Else():
            m.d.sync += address.eq(Mux(last_column, row, column))
        # One adder each, whatever the start.
        with m.If(Mux(change, following_v, last_block)):
            start = Mux(change, following[name], Mux(last_column, row, column))
            m.d.sync += column.eq(start + Mux(change, following[x_step], loop_nest[x_step]))
        with m.If(Mux(change, following_v, last_block & last_column)):
            start = Mux(change, following[name], row)
            m.d.sync += row.eq(start + Mux(change, following[y_step], loop_nest[y_step]))
