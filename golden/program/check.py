# SPDX-License-Identifier: Apache-2.0
"""What holds of every program, whoever wrote its file: sizes, places and names.

What memory words say to each other (loop nests, runs of destinations, tokens) is checked where it
is used, by :mod:`stemcore.golden.reference` and the compiler's own check.
"""

from collections.abc import Iterable

from ..network.network import Population
from ..spec.params import ChipParams
from ..spec.routing import Node, Rectangle
from ..spec.widths import ACTIVATION_WIDTH
from .program import Program

LARGEST = 1 << 24  # of a size that only reports use
MOST_TOKENS = 1 << 16  # that the host counts


def check_program(program: Program) -> None:
    """Raises ``ValueError`` that names the field which cannot be of a program for its chip."""
    params = program.params
    side = 1 << params.coord_width
    _within("columns", program.columns, 1, side)
    _within("rows", program.rows, 1, side - 1)
    names = [info.population.name for info in program.layers]
    _check(len(set(names)) == len(names), "layers: every name must be there once", names)
    _population("input", program.input, params)
    sent = [population.name for population in program.inputs]
    _check(len(set(sent)) == len(sent), "replayed: every name must be there once", sent)
    for population in program.replayed:
        _population(f"replayed {population.name!r}", population, params)
    for info in program.layers:
        name = info.population.name
        _population(f"layer {name!r}", info.population, params)
        for what, size in zip("CHW", info.shape, strict=True):
            _within(f"layer {name!r}: {what}", size, 1, LARGEST)
        for what in ("n_macs", "n_parameters"):
            _within(f"layer {name!r}: {what}", getattr(info, what), 0, 1 << 62)
    _check(bool(program.cores), "cores: there must be one or more", 0)
    nodes: set[Node] = set()
    for core in program.cores:
        _node(f"core of {core.layer!r}", (core.x, core.y), program)
        _check((core.x, core.y) not in nodes, "cores: a node must have one core", (core.x, core.y))
        _check(core.layer in names, "cores: a layer must be one of layers", core.layer)
        nodes.add((core.x, core.y))
    _host(program, nodes, names)


def _host(program: Program, nodes: set[Node], names: list[str]) -> None:
    """What the host sends, and what it awaits."""
    for number, route in enumerate(program.input_routes):
        where = f"input route {number}"
        _within(f"{where}: population", route.population, 0, len(program.replayed))
        channels, height, width = program.inputs[route.population].shape
        _span(f"{where}: rows", route.rows, height)
        _span(f"{where}: columns", route.columns, width)
        _rectangle(where, route.nodes, program)
        if route.sent is not None:
            neurons = channels * _length(route.rows) * _length(route.columns)
            _within(f"{where}: bytes of sent", len(route.sent), *2 * (-(-neurons // 8),))
        _within(f"{where}: axon", route.axon, 0, program.params.n_axons - 1)
    for number, rectangle in enumerate(program.input_end):
        _rectangle(f"input end {number}", rectangle, program)
    _within("input_credits", program.input_credits, 1, MOST_TOKENS)
    _within("output_ends", program.output_ends, 1, MOST_TOKENS)
    for name in (program.output, *program.output_layers):
        _check(name in names, "output: must be a layer", name)
    for node in program.output_cores:
        _check(node in nodes, "output_cores: must be nodes with a core", node)


def _population(where: str, population: Population, params: ChipParams) -> None:
    widths = (params.c_width, params.y_width, params.x_width)
    for what, size, n_bits in zip("CHW", population.shape, widths, strict=True):
        _within(f"{where}: {what}", size, 1, 1 << n_bits)
    _within(f"{where}: bits", population.bits, 1, ACTIVATION_WIDTH)


def _node(where: str, node: Node, program: Program) -> None:
    _within(f"{where}: x", node[0], 0, program.columns - 1)
    _within(f"{where}: y", node[1], 1, program.rows)


def _rectangle(where: str, rectangle: Rectangle, program: Program) -> None:
    x0, y0, x1, y1 = rectangle
    for node in ((x0, y0), (x1, y1)):
        _node(where, node, program)
    _check(x0 <= x1 and y0 <= y1, f"{where}: the first corner must not lie behind", rectangle)


def _span(where: str, ends: Iterable[int], size: int) -> None:
    first, last = ends
    _check(0 <= first <= last < size, f"{where}: must lie in 0..{size - 1}", (first, last))


def _length(ends: tuple[int, int]) -> int:
    return ends[1] - ends[0] + 1


def _within(where: str, value: int, low: int, high: int) -> None:
    _check(low <= value <= high, f"{where}: must lie in {low}..{high}", value)


def _check(is_right: bool, what: str, came: object) -> None:
    if not is_right:
        raise ValueError(f"{what}, got {came}")
