# SPDX-License-Identifier: Apache-2.0
"""From the lowered network to the program: the steps of the back end, each with its check."""

from stemcore.golden.network.network import Network
from stemcore.golden.program.program import Program
from stemcore.golden.spec.params import ChipParams

from .activity import Activity
from .assembly.assemble import assemble, check_program
from .assembly.destinations import DestinationsFullError
from .estimation.pacing import set_gaps
from .lowering.integrate import check_integrations
from .lowering.ranges import potentials_fit
from .mapping.partition import check_partition, partition
from .mapping.place import check_mesh, check_placement, mesh_for, place

N_ATTEMPTS = 8  # with fewer cores each, where destination tables are too small


def compile_network(
    network: Network,
    params: ChipParams,
    *,
    columns: int | None = None,
    rows: int | None = None,
    cores: int | None = None,
    activity: Activity | None = None,
    overflow_proved: bool | None = None,
) -> Program:
    """Memory images of every core that runs ``network``.

    Parameters
    ----------
    network, params
        Lowered integer layers, and the chip.
    columns, rows : int, optional
        Size of the mesh, both or neither. Default: the smallest near-square one for the cores.
    cores : int, optional
        Cores that may be used, one tile each. Default: all nodes of the mesh; without a mesh, the
        fewest that fit the network, rounded up to a full mesh.
    activity : optional
        Expected spikes of every population (:mod:`stemcore.compiler.activity`).
    overflow_proved : bool, optional
        What the program says about the range of potentials. Default:
        :func:`stemcore.compiler.lowering.ranges.potentials_fit`.

    Raises
    ------
    CompileError
        Names the layer, what it needs and what there is.
    """
    check_integrations(network, params)
    if (columns is None) != (rows is None):
        raise ValueError("compile_network: columns and rows must be given together")
    if columns is not None and rows is not None:
        check_mesh(params, columns, rows)
        budget = columns * rows if cores is None else min(cores, columns * rows)
    elif cores is not None:
        budget = min(cores, params.max_columns * params.max_rows)
    else:
        full = mesh_for(partition(network, params, None, activity).n_cores, params)
        budget = full[0] * full[1]
    if overflow_proved is None:
        overflow_proved = potentials_fit(network, params)
    mesh = None if columns is None or rows is None else (columns, rows)
    for attempt in range(N_ATTEMPTS):
        parts = partition(network, params, budget, activity)
        check_partition(network, params, parts)
        placement = place(
            network, params, parts.tiles, *(mesh or mesh_for(parts.n_cores, params)), activity
        )
        check_placement(parts.tiles, placement)
        try:
            program = assemble(
                network, params, parts.tiles, placement, overflow_proved=overflow_proved
            )
            break
        except DestinationsFullError:
            # Fewer cores have fewer neighbours.
            budget = parts.n_cores - 1
            is_fewest = partition(network, params, None, activity).n_cores > budget
            if attempt == N_ATTEMPTS - 1 or is_fewest:
                raise
    program = set_gaps(program, activity)
    check_program(program)
    return program
