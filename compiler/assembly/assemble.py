# SPDX-License-Identifier: Apache-2.0
"""Memory images from placed tiles: what the rest of the system is told about them."""

from dataclasses import dataclass

import numpy as np

from stemcore.golden.network.network import Connection, Layer, Network
from stemcore.golden.program.program import CoreImage, InputRoute, LayerInfo, Program
from stemcore.golden.spec.fields import Control, Formats, Memory
from stemcore.golden.spec.params import ChipParams
from stemcore.golden.spec.routing import HOST, Node, Rectangle

from ..errors import AssembleError
from ..lowering import integrate as integration
from ..mapping.connectivity import Connectivity, Tile, connect, members, taps
from ..mapping.place import Placement
from ..mapping.rectangles import cover, nodes_of
from .core_image import build_memories
from .destinations import Destinations, Run


def assemble(
    network: Network,
    params: ChipParams,
    tiles: tuple[Tile, ...],
    placement: Placement,
    *,
    overflow_proved: bool,
) -> Program:
    """The program. Afterwards the tokens balance and every run of destinations is disjoint
    (:func:`check_program`)."""
    connectivity = connect(network, tiles, params.lanes)
    located = (*placement.nodes, HOST)
    host = len(tiles)
    cores = []
    for index, wiring in enumerate(wire(network, params, tiles, placement, connectivity)):
        tile, (x, y) = tiles[index], located[index]
        layer = network.layers[tile.layer]
        destinations = wiring.destinations
        memories = build_memories(
            network,
            params,
            tile,
            f"{layer.name} (core {x}, {y})",
            connectivity.coordinates[index],
            [destinations.run(run) for run in wiring.words],
        )
        memories[Memory.DESTINATION] = destinations.words()
        formats = Formats(params)
        registers = {
            Control.N_SOURCES: connectivity.sources(index).bit_count(),
            Control.N_DESTINATIONS: connectivity.destinations[index].bit_count(),
            Control.N_UPDATE: len(memories[Memory.UPDATE]),
            Control.N_FIRE: len(memories[Memory.FIRE]),
            Control.MODE: formats.mode.pack(
                bits=layer.bits,
                is_signed=int(layer.is_signed),
                use_lookup=int(layer.table is not None),
                bias_shift=layer.bias_shift,
                is_raw=int(layer.digits is not None),
                gap=0,
            ),
            Control.END_LIST: _token_list(formats, destinations.run(wiring.ends)),
            Control.CREDIT_LIST: _token_list(formats, destinations.run(wiring.credits)),
        }
        if params.is_stepped:
            registers[Control.INTEGRATION] = integration.register(layer, network, params)
        memories[Memory.CONTROL] = np.array(
            [[registers[Control(i)]] for i in range(len(registers))], dtype=np.uint32
        )
        cores.append(CoreImage(x, y, layer.name, dict(sorted(memories.items()))))

    ends_at_host = connectivity.sources(host)
    return Program(
        name=network.name,
        params=params,
        columns=placement.columns,
        rows=placement.rows,
        cores=tuple(cores),
        layers=tuple(layer_info(network, layer) for layer in network.layers),
        input=network.input,
        input_routes=_input_routes(connectivity, located),
        input_end=_rectangles(connectivity.destinations[host], located),
        input_credits=connectivity.destinations[host].bit_count(),
        output=network.output.name,
        output_ends=ends_at_host.bit_count(),
        output_cores=tuple(located[i] for i in members(ends_at_host)),
        overflow_proved=overflow_proved,
    )


@dataclass(frozen=True)
class Wiring:
    """Where one core sends: a run of destinations for each of its activation words, in their order,
    and those of its END and CREDIT tokens; all of them are in the table ``destinations``."""

    destinations: Destinations
    words: tuple[Run, ...]
    ends: Run
    credits: Run


def wire(
    network: Network,
    params: ChipParams,
    tiles: tuple[Tile, ...],
    placement: Placement,
    connectivity: Connectivity | None = None,
) -> list[Wiring]:
    """Destinations of every core; ``DestinationsFullError`` where a table is too small.

    ``connectivity`` is that of the tiles, where it is known already.
    """
    connectivity = connectivity or connect(network, tiles, params.lanes)
    located = (*placement.nodes, HOST)
    wirings = []
    for index, tile in enumerate(tiles):
        name, (x, y) = network.layers[tile.layer].name, located[index]
        axons = [reader.axon for reader in connectivity.readers[tile.layer]]
        runs: dict[tuple[int, ...], Run] = {
            masks: tuple(
                (*rectangle, axon)
                for mask, axon in zip(masks, axons, strict=True)
                for rectangle in _rectangles(mask, located)
            )
            for masks in dict.fromkeys(connectivity.words[index])
        }
        if tile.layer == len(network.layers) - 1:
            runs = dict.fromkeys(runs, ((*HOST, *HOST, 0),))
        ends = tuple((*r, 0) for r in _rectangles(connectivity.destinations[index], located))
        credits = tuple((*r, 0) for r in _rectangles(connectivity.sources(index), located))
        destinations = Destinations(f"{name} (core {x}, {y}) destinations", params)
        destinations.add_all([*runs.values(), ends, credits])
        words = tuple(runs[masks] for masks in connectivity.words[index])
        wirings.append(Wiring(destinations, words, ends, credits))
    return wirings


def _rectangles(mask: int, located: tuple[Node, ...]) -> tuple[Rectangle, ...]:
    """Rectangles that cover the nodes of a set of tiles."""
    return cover(located[i] for i in members(mask))


def _token_list(formats: Formats, run: tuple[int, int]) -> int:
    return formats.token_list.pack(start=run[0], count=run[1])


def _input_routes(
    connectivity: Connectivity, located: tuple[tuple[int, int], ...]
) -> tuple[InputRoute, ...]:
    """Routes of the host: tiles that need the same positions share rectangles of nodes."""
    routes = []
    for reader in connectivity.readers[-1]:
        tiles = 0
        for mask in reader.rows:
            tiles |= mask
        regions: dict[tuple[int, int, int, int], list[tuple[int, int]]] = {}
        for tile in members(tiles):
            spans = []
            for masks in (reader.rows, reader.columns):
                hit = [i for i, mask in enumerate(masks) if mask >> tile & 1]
                spans += [hit[0], hit[-1]] if hit else []
            if len(spans) == 4:
                regions.setdefault(tuple(spans), []).append(located[tile])  # type: ignore[arg-type]
        for (y0, y1, x0, x1), nodes in regions.items():
            routes += [InputRoute((y0, y1), (x0, x1), r, reader.axon) for r in cover(nodes)]
    return tuple(routes)


def layer_info(network: Network, layer: Layer) -> LayerInfo:
    """What reports need to know of a layer, placed or not."""
    digits = _digit_sources(network)
    own = [c for c in layer.connections if c.source not in digits]
    # A layer that sums parts has the bias of all of them.
    n_parameters = sum(c.weight.size for c in own if not _is_constant(c))
    if layer.name not in digits and (n_parameters or len(own) < len(layer.connections)):
        n_parameters += layer.shape[0]
    n_macs = sum(count_macs(network, layer, connection) for connection in own)
    return LayerInfo(layer.population, layer.shape, n_macs, n_parameters)


def _digit_sources(network: Network) -> set[str]:
    """Populations that fire digits: parts of split layers, and what only passes these on."""
    names: set[str] = set()
    for layer in network.layers:
        passes = all(c.channels is None and c.source in names for c in layer.connections)
        if layer.digits is not None or passes:
            names.add(layer.name)
    return names


def _is_constant(connection: Connection) -> bool:
    """Average pooling or identity: depthwise, and one value for all weights."""
    return (
        connection.groups == connection.weight.shape[0]
        and connection.weight.shape[1] == 1
        and bool((connection.weight == connection.weight.flat[0]).all())
    )


def count_macs(network: Network, layer: Layer, connection: Connection) -> int:
    """Multiply-accumulates per image of a connection; products with padding are not counted."""
    shape = network.population(connection.source).shape
    n_taps = [
        int(taps(connection, axis, shape[1 + axis], (0, layer.shape[1 + axis]))[1].sum())
        for axis in (0, 1)
    ]
    return n_taps[0] * n_taps[1] * layer.shape[0] * int(connection.weight.shape[1])


def check_program(program: Program) -> None:
    """Raises unless memories fit, runs of destinations are disjoint and tokens balance."""
    formats = Formats(program.params)
    nodes = {(core.x, core.y) for core in program.cores}
    ends = dict.fromkeys(nodes, 0)
    credits = dict.fromkeys(nodes, 0)
    at_host = {"end": 0, "credit": 0}
    for core in program.cores:
        where = f"{core.layer} (core {core.x}, {core.y})"
        for memory, words in core.memories.items():
            _, depth = formats.memory(memory)
            shape = (len(words), formats.n_chunks(memory))
            if words.shape != shape or len(words) > depth:
                raise AssembleError(
                    where, f"{memory.name} must be at most {depth} x {shape[1]}, is {words.shape}"
                )
        table = formats.destination.unpack(core.memories[Memory.DESTINATION].astype(np.uint64))
        entries = np.stack(
            [table[f][:, 0].astype(np.int64) for f in ("x0", "y0", "x1", "y1", "axon")], axis=1
        )
        fire = _join(core.memories[Memory.FIRE])
        fields = [formats.fire.unpack(word) for word in fire]
        for start, count in sorted({(f["start"], f["count"]) for f in fields}):
            reached = _reached(entries[start : start + count], len(entries), start + count, where)
            if len(set(reached)) != len(reached):
                raise AssembleError(where, f"destinations {start}..{start + count} overlap")
        control = core.memories[Memory.CONTROL][:, 0]
        for register, counts, name in (
            (Control.END_LIST, ends, "end"),
            (Control.CREDIT_LIST, credits, "credit"),
        ):
            run = formats.token_list.unpack(int(control[register]))
            stop = run["start"] + run["count"]
            for x, y, _ in _reached(entries[run["start"] : stop], len(entries), stop, where):
                if (x, y) == HOST:
                    at_host[name] += 1
                elif (x, y) in counts:
                    counts[x, y] += 1
                else:
                    raise AssembleError(where, f"sends {name} to ({x}, {y}), which has no core")
    for rectangle in program.input_end:
        for node in nodes_of(rectangle):
            ends[node] += 1
    for node in program.output_cores:
        credits[node] += 1
    for core in program.cores:
        where = f"{core.layer} (core {core.x}, {core.y})"
        control = core.memories[Memory.CONTROL][:, 0]
        for register, counts in ((Control.N_SOURCES, ends), (Control.N_DESTINATIONS, credits)):
            want, got = int(control[register]), counts[core.x, core.y]
            if want != got or want == 0:
                raise AssembleError(where, f"{register.name} is {want}, {got} tokens arrive")
    if at_host != {"end": program.output_ends, "credit": program.input_credits}:
        raise AssembleError(
            "host",
            f"awaits {program.output_ends} ENDs, {program.input_credits} CREDITs, gets {at_host}",
        )


def _join(chunks: np.ndarray) -> list[int]:
    return [sum(int(c) << (32 * i) for i, c in enumerate(word)) for word in chunks]


def _reached(run: np.ndarray, n_entries: int, stop: int, where: str) -> list[tuple[int, int, int]]:
    if stop > n_entries:
        raise AssembleError(where, f"a run ends at destination {stop} of {n_entries}")
    return [(x, y, int(e[4])) for e in run for x, y in nodes_of(tuple(int(v) for v in e[:4]))]  # type: ignore[arg-type]
