# SPDX-License-Identifier: Apache-2.0
"""Links of the mesh that several cores of a layer cross, and how long a burst takes there.

A link carries a flit a cycle. The cores of a layer fire at once, and each as fast as it can they
may ask for more; routers give each its turn, so that one that asks for little gets it and the
others share the rest. Flits that wait hold their source: its destinations run dry, while those of
the others are full. Other layers seldom fire at that time, and placement keeps them off these links
(:mod:`stemcore.compiler.mapping.place`): their flits are left out.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence

from stemcore.golden.spec.routing import Rectangle, tree

from .flows import Flows, Link

# Of a link: the share of the source's flits that cross it, and the other sources with theirs.
Crossing = tuple[float, list[tuple[int, float]]]


def shared_links(flows: Flows, gap: Callable[[int], int]) -> list[list[Crossing]]:
    """Of every core, and of the host, the links on which it may have to wait for others.

    These are the links on which cores of one layer can ask for more than a flit a cycle.

    gap : cycles from a flit to the next of a source

    Shares are those of a source whose neurons all fire alike: they rest on no image.
    """
    crossing: defaultdict[tuple[str, Link], dict[int, float]] = defaultdict(dict)
    for number in range(flows.host + 1):
        counts: defaultdict[Link, int] = defaultdict(int)
        total = 0
        for rectangle, n_flits in _packets(flows, number):
            total += n_flits
            for link in tree(flows.node(number), rectangle).links:
                counts[link] += n_flits
        for link, n_flits in counts.items():
            crossing[flows.layers[number], link][number] = n_flits / total
    found: list[list[Crossing]] = [[] for _ in range(flows.host + 1)]
    for shares in crossing.values():
        if sum(share / gap(number) for number, share in shares.items()) <= 1:
            continue
        for number, share in shares.items():
            others = [(other, n) for other, n in shares.items() if other != number]
            found[number].append((share, others))
    return found


def _packets(flows: Flows, number: int) -> list[tuple[Rectangle, int]]:
    """Rectangles that a source sends to, with the number of its words or neurons that do."""
    if number == flows.host:
        inputs = flows.program.inputs
        return [
            (route.nodes, int(route.neurons(inputs[route.population].shape[0]).sum()))
            for route in flows.program.input_routes
        ]
    packets = []
    for chosen, entry in flows.destinations(number):
        x0, y0, x1, y1 = (int(value) for value in entry[:4])
        packets.append(((x0, y0, x1, y1), int(chosen.sum())))
    return packets


def time_on_link(n_flits: float, rates: Sequence[float]) -> float:
    """Cycles that ``n_flits`` of a source take over a link while others send over it.

    ``rates``: flits a cycle that each of the others asks for. A source waits for at most as many
    flits of another as it sends itself, since routers give each its turn.
    """
    rates = sorted(rates, reverse=True)
    rest = sum(rates)
    cycles = 0.0
    # ``turns`` sources, those that ask for most, are as far behind as this one.
    for turns in range(len(rates) + 1):
        if rest < 1:
            cycles = n_flits * (1 + turns) / (1 - rest)
            if turns == len(rates) or rates[turns] * cycles <= n_flits:
                break
        if turns < len(rates):
            rest = sum(rates[turns + 1 :])
    return cycles
