# SPDX-License-Identifier: Apache-2.0
"""Parts of a program: a group of its cores as a program of its own, for a chip with fewer cores.

The host takes the place of all cores that are not in the group: it sends what they fire (recorded
when their own group ran) and receives what goes to them. To a core of the group it is one source
and one destination more, with tokens like any other, so that the part is an ordinary program.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from stemcore.golden.network.network import INPUT, Population
from stemcore.golden.network.results import ONE_OUTPUT, Output, Results
from stemcore.golden.program.program import CoreImage, InputRoute, Program
from stemcore.golden.program.words import pack_words, unpack_words
from stemcore.golden.spec.bursts import stream_words
from stemcore.golden.spec.fields import Formats, Memory
from stemcore.golden.spec.registers import Control
from stemcore.golden.spec.routing import HOST, Node

from ..assembly.check_program import check_program
from ..assembly.destinations import Destinations, Run
from ..mapping.rectangles import cover
from .core_graph import HOST_NUMBER, CoreGraph

START_FLITS = 2  # of a core: a pointer and a command
Words = NDArray[np.bool_]  # (blocks of lanes, rows, columns) of a population


@dataclass(frozen=True)
class Part:
    """A group of cores on the chip.

    cores : numbers of the cores in the whole program, in the order of ``program.cores``
    program : what the chip is loaded with
    """

    cores: tuple[int, ...]
    program: Program

    @property
    def inputs(self) -> tuple[str, ...]:
        """Populations whose spikes the host sends, ``INPUT`` among them where it is needed."""
        return tuple(population.name for population in self.program.inputs)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Layers whose spikes the host receives: what the group's cores fire of them."""
        return self.program.output_layers


def make_part(graph: CoreGraph, cores: Sequence[int], places: Sequence[Node]) -> Part:
    """The part with these cores, which get the first of ``places``, nodes (x, y) of the chip.

    What the group needs of other cores must be there when it runs: that is the order of groups.
    Afterwards the tokens balance, and every neuron whose spikes leave the group reaches the host
    once.

    Raises
    ------
    AssembleError
        Where the destination table of a core is too small (``DestinationsFullError``).
    """
    whole = graph.program
    node = dict(zip(cores, places, strict=False))
    outside = {number: graph.cores[number].ends - node.keys() for number in cores}
    sending = [number for number in cores if outside[number]]
    receiving = [number for number in cores if graph.cores[number].credits - node.keys()]
    layers = {whole.cores[number].layer for number in cores}
    leaving = {whole.cores[number].layer for number in sending}
    infos = tuple(info for info in whole.layers if info.population.name in layers)
    outputs = [i.population.name for i in infos if i.population.name in leaving]
    routes, inputs = _routes(graph, node)
    program = Program(
        name=whole.name,
        params=whole.params,
        columns=max(x for x, _ in places) + 1,
        rows=max(y for _, y in places),
        cores=tuple(_core(graph, number, node, outputs) for number in cores),
        layers=infos,
        input=inputs[0],
        input_routes=routes,
        input_end=cover(node[number] for number in receiving),
        input_credits=len(receiving),
        output=outputs[0],
        output_ends=len(sending),
        output_cores=tuple(node[number] for number in sending),
        overflow_proved=whole.overflow_proved,
        results=_results(outputs),
        replayed=inputs[1:],
        is_part=True,
    )
    check_program(program)
    return Part(tuple(cores), program)


def _results(names: Sequence[str]) -> Results:
    if len(names) == 1:
        return ONE_OUTPUT
    structure = json.dumps({"tuple": list(range(len(names)))})
    return Results(tuple(Output(name, name) for name in names), structure)


def _core(
    graph: CoreGraph, number: int, node: dict[int, Node], outputs: Sequence[str]
) -> CoreImage:
    """The memory image of a core at its place on the chip: other destinations, nothing else."""
    whole, links = graph.program, graph.cores[number]
    image, (x, y) = whole.cores[number], node[number]
    to_host = (*HOST, *HOST, outputs.index(image.layer)) if image.layer in outputs else None
    runs: list[Run] = []
    for run in links.runs:
        by_axon: dict[int, list[Node]] = defaultdict(list)
        for core, axon in run.targets:
            if core in node:
                by_axon[axon].append(node[core])
        entries = [
            (*rectangle, axon)
            for axon, nodes in sorted(by_axon.items())
            for rectangle in cover(nodes)
        ]
        if run.cores - node.keys():
            assert to_host is not None, "spikes that leave the group have an END that does"
            entries.append(to_host)
        runs.append(tuple(entries))
    ends, credits = (_tokens(to, node) for to in (links.ends, links.credits))
    destinations = Destinations(f"{image.layer} (core {x}, {y}) destinations", whole.params)
    destinations.add_all([*runs, ends, credits])

    formats, memories = Formats(whole.params), dict(image.memories)
    n_fire = len(links.block)
    fire = unpack_words(formats.fire, memories[Memory.FIRE][:n_fire])
    for words, run_entries in zip(links.runs, runs, strict=True):
        fire["start"][words.words], fire["count"][words.words] = destinations.run(run_entries)
    memories[Memory.FIRE] = pack_words(formats.fire, fire)
    memories[Memory.DESTINATION] = destinations.words()
    control = memories[Memory.CONTROL].copy()
    for register, tokens in ((Control.END_LIST, ends), (Control.CREDIT_LIST, credits)):
        start, count = destinations.run(tokens)
        control[register] = formats.token_list.pack(start=start, count=count)
    control[Control.N_SOURCES] = _n_partners(links.credits, node)
    control[Control.N_DESTINATIONS] = _n_partners(links.ends, node)
    memories[Memory.CONTROL] = control
    return replace(image, x=x, y=y, memories=memories)


def _tokens(partners: frozenset[int], node: dict[int, Node]) -> Run:
    """Entries for tokens to these cores; all that are not in the group are the host."""
    nodes = {node.get(core, HOST) for core in partners}
    return tuple((*rectangle, 0) for rectangle in cover(nodes))


def _n_partners(partners: frozenset[int], node: dict[int, Node]) -> int:
    return len({node.get(core, HOST) for core in partners})


def _routes(
    graph: CoreGraph, node: dict[int, Node]
) -> tuple[tuple[InputRoute, ...], tuple[Population, ...]]:
    """What the host sends into a group, and the populations that it sends; one or more."""
    whole = graph.program
    known = {INPUT: whole.input} | {i.population.name: i.population for i in whole.layers}
    wanted = _wanted(graph, node, known)
    names = [name for name in known if any(of == name for of, _ in wanted)]
    # A group may need END of others alone, where nobody reads what they fire.
    names = names or [_any_source(graph, node)]
    routes: list[InputRoute] = []
    for (name, axon), by_target in sorted(wanted.items()):
        population, number = known[name], names.index(name)
        for nodes, words in _by_nodes(by_target):
            sent = np.repeat(words, whole.params.lanes, axis=0)[: population.shape[0]]
            rows, columns = (
                np.flatnonzero(sent.any(axis=(0, 2))),
                np.flatnonzero(sent.any(axis=(0, 1))),
            )
            (y0, y1), (x0, x1) = ((int(span[0]), int(span[-1])) for span in (rows, columns))
            packed = np.packbits(sent[:, y0 : y1 + 1, x0 : x1 + 1]).tobytes()
            routes += [
                InputRoute((y0, y1), (x0, x1), rectangle, axon, number, packed)
                for rectangle in cover(nodes)
            ]
    return tuple(routes), tuple(known[name] for name in names)


def _any_source(graph: CoreGraph, node: dict[int, Node]) -> str:
    sources = {source for core in node for source in graph.cores[core].credits - node.keys()}
    source = min(sources)
    return INPUT if source == HOST_NUMBER else graph.program.cores[source].layer


def _wanted(
    graph: CoreGraph, node: dict[int, Node], known: dict[str, Population]
) -> dict[tuple[str, int], dict[Node, Words]]:
    """By population and axon: for each node of the group, words from outside the group."""
    lanes, whole = graph.program.params.lanes, graph.program

    def nothing(name: str) -> Words:
        channels, height, width = known[name].shape
        return np.zeros((-(-channels // lanes), height, width), bool)

    wanted: dict[tuple[str, int], dict[Node, Words]] = defaultdict(dict)
    for route in whole.input_routes:
        (y0, y1), (x0, x1) = route.rows, route.columns
        for core in graph.reached(route.nodes):
            if core in node:
                of = wanted[INPUT, route.axon].setdefault(node[core], nothing(INPUT))
                of[:, y0 : y1 + 1, x0 : x1 + 1] = True
    sources = {source for core in node for source in graph.cores[core].credits - node.keys()}
    for source in sorted(sources - {HOST_NUMBER}):
        links, name = graph.cores[source], whole.cores[source].layer
        for run in links.runs:
            for core, axon in run.targets:
                if core in node:
                    of = wanted[name, axon].setdefault(node[core], nothing(name))
                    of[links.block[run.words], links.y[run.words], links.x[run.words]] = True
    return wanted


def _by_nodes(by_target: dict[Node, Words]) -> list[tuple[list[Node], Words]]:
    """Words by the set of nodes that receive them; those that no node does are left out."""
    nodes = sorted(by_target)
    received = np.stack([by_target[n] for n in nodes])
    codes, which = np.unique(
        np.packbits(received.reshape(len(nodes), -1), axis=0), axis=1, return_inverse=True
    )
    found = []
    for number in range(codes.shape[1]):
        words = (which.reshape(-1) == number).reshape(received.shape[1:])
        receivers = [n for n, of in zip(nodes, received, strict=True) if of[words][0]]
        if receivers:
            found.append((receivers, words))
    return found


def load_flits(program: Program) -> int:
    """Flits that write the memories of all cores, and start them."""
    return sum(1 + n for n in _writes(program)) + len(program.cores) * START_FLITS


def load_words(program: Program) -> int:
    """Words of 64 bits in which a host sends them, WRITEs as bursts."""
    return sum(1 + stream_words(n) for n in _writes(program)) + len(program.cores) * START_FLITS


def _writes(program: Program) -> Iterator[int]:
    """WRITE flits that follow each ADDRESS: memories, and the ranges of axons."""
    for core in program.cores:
        yield from (words.size for words in core.memories.values() if words.size)
        yield 1 << program.params.axon_width
