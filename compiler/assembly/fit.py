# SPDX-License-Identifier: Apache-2.0
"""From a network to tiles on nodes, such that every table of a core holds what it must."""

from dataclasses import dataclass
from itertools import islice

from stemcore.golden.network.network import Network
from stemcore.golden.spec.params import ChipParams

from ..activity import Activity
from ..mapping.partition import Partition, Partitioner, check_partition
from ..mapping.place import Placement, check_mesh, check_placement, mesh_for, placements
from .destinations import DestinationsFullError
from .wiring import wire

N_ATTEMPTS = 4  # with fewer cores each, where destination tables are too small
N_PLACEMENTS = 4  # tried for each number of cores


@dataclass(frozen=True)
class MappedNetwork:
    """Tiles of all layers, and the node of every tile."""

    partition: Partition
    placement: Placement


def fit_to_mesh(
    network: Network,
    params: ChipParams,
    *,
    mesh: tuple[int, int] | None = None,
    cores: int | None = None,
    activity: Activity | None = None,
) -> MappedNetwork:
    """Tiles and their nodes; afterwards :func:`check_mapped` holds.

    Parameters
    ----------
    network, params
        Lowered integer layers, and the chip.
    mesh : (columns, rows), optional
        Default: the smallest near-square one for the cores.
    cores : int, optional
        Cores that may be used, one tile each. Default: all nodes of the mesh; without a mesh, the
        fewest that fit the network, rounded up to a full mesh.
    activity : optional
        Expected spikes of every population (:mod:`stemcore.compiler.activity`).

    Raises
    ------
    CompileError
        Names the layer, what it needs and what there is.
    """
    if mesh is not None:
        check_mesh(params, *mesh)
    partitioner = Partitioner(network, params, activity)
    budget = core_budget(partitioner, params, mesh, cores)
    for attempt in range(N_ATTEMPTS):
        parts = partitioner.cut(budget)
        columns, rows = mesh or mesh_for(parts.n_cores, params)
        found = placements(network, params, parts.tiles, columns, rows, activity)
        full: list[DestinationsFullError] = []
        for placement in islice(found, N_PLACEMENTS):
            mapped = MappedNetwork(parts, placement)
            try:
                check_mapped(network, params, mapped)
                return mapped
            except DestinationsFullError as error:
                full.append(error)
        # Fewer cores have fewer neighbours.
        fewest = partitioner.cut().n_cores
        least = min(error.need for error in full)
        wanted = parts.n_cores * params.n_destinations // max(1, least)
        budget = min(parts.n_cores - 1, max(wanted, fewest))
        if attempt == N_ATTEMPTS - 1 or fewest > budget:
            raise full[0]
    raise AssertionError("the last attempt returns or raises")


def core_budget(
    partitioner: Partitioner,
    params: ChipParams,
    mesh: tuple[int, int] | None,
    cores: int | None,
) -> int:
    """Cores that may be used: as for :func:`fit_to_mesh`, without placing anything."""
    if mesh is not None:
        columns, rows = mesh
        check_mesh(params, columns, rows)
        return columns * rows if cores is None else min(cores, columns * rows)
    if cores is not None:
        return min(cores, params.max_columns * params.max_rows)
    partitioner.check_budget()
    columns, rows = mesh_for(partitioner.fewest, params)
    return columns * rows


def check_mapped(network: Network, params: ChipParams, mapped: MappedNetwork) -> None:
    """Raises unless every neuron is computed once, every tile has a node of its own, and its
    core's destinations fit their table."""
    tiles, placement = mapped.partition.tiles, mapped.placement
    check_partition(network, params, mapped.partition)
    check_placement(tiles, placement)
    wire(network, params, tiles, placement)
