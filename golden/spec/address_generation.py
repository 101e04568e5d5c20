# SPDX-License-Identifier: Apache-2.0
"""The loop nest of a spike: which weight words it adds to which accumulator words, in order.

Plain integers, standard library only: the reference that the axon-in of the gateware is held to.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from .params import ChipParams
from .spike_code import negates


class Operation(NamedTuple):
    """One step of a loop nest: add weight word ``weight`` to accumulator word ``acc``.

    ``n_lanes`` is the number of neurons in the word, less one.
    """

    acc: int
    weight: int
    shift: int
    negate: int
    n_lanes: int


Fields = Mapping[str, int]


def loop_nest(
    params: ChipParams,
    axon: Fields,
    tables: tuple[Sequence[Fields], Sequence[Fields], Sequence[Fields]],
    spike: Fields,
) -> list[Operation]:
    """The operations of one spike, in the order in which the core issues them, one a cycle.

    ``axon``, the entries of ``tables`` (channel, row, column) and ``spike`` hold the fields that
    ``stemcore.golden.spec.fields.Formats`` gives them. Rows are the outer loop, channel blocks the
    inner one. Indices wrap modulo the tables' sizes, addresses and the shift modulo their widths.
    No operation if any count is zero. Shift and sign are those of the neuron model and of the spike
    code.
    """
    table_c, table_y, table_x = tables
    c = table_c[(axon["c_base"] + spike["c"]) % params.n_table_c]
    y = table_y[(axon["y_base"] + spike["y"]) % params.n_table_y]
    x = table_x[(axon["x_base"] + spike["x"]) % params.n_table_x]
    shift = params.model.weight_shift(axon["shift0"], spike["t"])
    negate = int(negates(axon["is_signed"], spike["t"]))
    n_acc, n_weight = 1 << params.acc_address_width, 1 << params.weight_address_width
    operations = []
    for j in range(y["count"]):
        for i in range(x["count"]):
            for b in range(c["count"]):
                acc = c["acc"] + y["acc"] + x["acc"]
                weight = c["weight"] + y["weight"] + x["weight"]
                operations.append(
                    Operation(
                        acc=(acc + j * axon["y_acc_step"] + i * axon["x_acc_step"] + b) % n_acc,
                        weight=(weight + j * axon["y_weight_step"] + i * axon["x_weight_step"] + b)
                        % n_weight,
                        shift=shift % (1 << params.shift_width),
                        negate=negate,
                        n_lanes=axon["tail"] if b == c["count"] - 1 else params.lanes - 1,
                    )
                )
    return operations
