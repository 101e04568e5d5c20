# SPDX-License-Identifier: Apache-2.0
"""From placed tiles to the program: memory images of all cores, and the host's routes."""

from dataclasses import replace

import numpy as np

from stemcore.golden.network.network import Layer, Network
from stemcore.golden.network.results import Results
from stemcore.golden.network.tail import Scale, TailStep
from stemcore.golden.program.program import CoreImage, InputRoute, Program
from stemcore.golden.spec.fields import Formats, Memory
from stemcore.golden.spec.params import ChipParams
from stemcore.golden.spec.registers import Control
from stemcore.golden.spec.routing import HOST, Node

from ..mapping.connectivity import Connectivity, Tile, connect, members
from ..mapping.place import Placement
from ..mapping.rectangles import cover
from .core_image import build_memories
from .layer_info import layer_info
from .wiring import Wiring, rectangles, wire


def assemble(
    network: Network,
    params: ChipParams,
    tiles: tuple[Tile, ...],
    placement: Placement,
    *,
    overflow_proved: bool,
) -> Program:
    """The program of a placed network.

    Afterwards the tokens balance and every run of destinations is disjoint
    (:func:`stemcore.compiler.assembly.check_program.check_program`).

    Raises
    ------
    AssembleError
        Where a table or memory of a core is too small; ``DestinationsFullError`` where it is the
        destination table, which may suffice with fewer cores.
    """
    connectivity = connect(network, tiles, params.lanes)
    located = (*placement.nodes, HOST)
    host = len(tiles)
    to_host, from_host = connectivity.sources(host), connectivity.destinations[host]
    return Program(
        name=network.name,
        params=params,
        columns=placement.columns,
        rows=placement.rows,
        cores=tuple(
            _core(network, params, connectivity, tiles[index], index, located[index], wiring)
            for index, wiring in enumerate(wire(network, params, tiles, placement, connectivity))
        ),
        layers=tuple(layer_info(network, layer) for layer in network.layers),
        input=network.input,
        input_routes=_input_routes(connectivity, located),
        input_end=rectangles(from_host, located),
        input_credits=from_host.bit_count(),
        output=network.output.name,
        output_ends=to_host.bit_count(),
        output_cores=tuple(located[i] for i in members(to_host)),
        overflow_proved=overflow_proved,
        tail=() if network.results else _tail(network, network.output.name, network.tail),
        results=_results(network),
    )


def _tail(network: Network, source: str, tail: tuple[TailStep, ...]) -> tuple[TailStep, ...]:
    """The tail of an output from its integers on."""
    return (Scale(float(network.scales[source])), *tail) if tail else ()


def _results(network: Network) -> Results:
    """The network's, with tails that begin at integers."""
    results = network.results
    outputs = tuple(replace(o, tail=_tail(network, o.source, o.tail)) for o in results.outputs)
    return replace(results, outputs=outputs)


def _core(
    network: Network,
    params: ChipParams,
    connectivity: Connectivity,
    tile: Tile,
    index: int,
    node: Node,
    wiring: Wiring,
) -> CoreImage:
    """Memory image of the core at ``node``, which computes ``tile``, the tile number ``index``."""
    layer, destinations = network.layers[tile.layer], wiring.destinations
    memories = build_memories(
        network,
        params,
        tile,
        f"{layer.name} (core {node[0]}, {node[1]})",
        connectivity.coordinates[index],
        [destinations.run(run) for run in wiring.words],
    )
    memories[Memory.DESTINATION] = destinations.words()
    registers = {
        Control.N_SOURCES: connectivity.sources(index).bit_count(),
        Control.N_DESTINATIONS: connectivity.destinations[index].bit_count(),
        Control.N_UPDATE: len(memories[Memory.UPDATE]),
        Control.N_FIRE: len(memories[Memory.FIRE]),
        **_layer_registers(network, params, layer),
    }
    token_list = Formats(params).token_list
    for register, run in (
        (Control.END_LIST, wiring.ends),
        (Control.CREDIT_LIST, wiring.credits),
    ):
        start, count = destinations.run(run)
        registers[register] = token_list.pack(start=start, count=count)
    memories[Memory.CONTROL] = np.array(
        [[registers[Control(i)]] for i in range(len(registers))], dtype=np.uint32
    )
    return CoreImage(*node, layer.name, dict(sorted(memories.items())))


def _layer_registers(network: Network, params: ChipParams, layer: Layer) -> dict[Control, int]:
    """Registers whose contents are the same in all cores of a layer."""
    registers = {
        Control.MODE: Formats(params).mode.pack(
            bits=layer.bits,
            is_signed=int(layer.is_signed),
            use_lookup=int(layer.table is not None),
            bias_shift=layer.bias_shift,
            is_raw=int(layer.digits is not None),
            gap=0,
        )
    }
    if params.model.register:
        source = network.population(layer.connections[0].source)
        fields = layer.neuron.to_fields(source.bits)
        registers[Control.INTEGRATION] = Formats(params).integration.pack(**fields)
    return registers


def _input_routes(connectivity: Connectivity, located: tuple[Node, ...]) -> tuple[InputRoute, ...]:
    """Routes of the host: tiles that need the same positions share rectangles of nodes."""
    routes = []
    for reader in connectivity.readers[-1]:
        tiles = 0
        for mask in reader.rows:
            tiles |= mask
        regions: dict[tuple[tuple[int, int], tuple[int, int]], list[Node]] = {}
        for tile in members(tiles):
            rows, columns = (
                [i for i, mask in enumerate(masks) if mask >> tile & 1]
                for masks in (reader.rows, reader.columns)
            )
            if rows and columns:
                region = (rows[0], rows[-1]), (columns[0], columns[-1])
                regions.setdefault(region, []).append(located[tile])
        for (rows_read, columns_read), nodes in regions.items():
            routes += [InputRoute(rows_read, columns_read, r, reader.axon) for r in cover(nodes)]
    return tuple(routes)
